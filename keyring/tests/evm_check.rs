//! `check` on contracts: real EVM nodes with our contracts, a party's folder with its store, no running node. What each
//! verdict rests on is in `keyring/src/check/tests/`; here everything is really asked.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use chain_client::zrsign::name::Proxy;
use devnet::evm::EvmTown;
use k256::ecdsa::SigningKey;
use keyring::agreement::Record;
use keyring::check::{Finding, Verdict, gather, has_failed, judge};
use keyring::config::ProcessEnvironment;
use keyring::contract::{chain_of, controller_of};
use keyring::identity::NodeIdentity;
use keyring::message::Certificate;
use keyring::roster::{RosterEntry, RosterFile};
use keyring::store::{Argon2Cost, Entry, RocksStore, Store as _, Table, Unlock};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

const CHAINS: [u64; 2] = [31_337, 31_338];
/// Nobody listens there.
const DOWN: &str = "http://127.0.0.1:1";
const STORE_KEY: [u8; 32] = [0x5A; 32];
/// What this party's account is given.
const ETHER: u64 = 1_000_000_000_000_000_000;
/// Longest wait until something is final: four blocks of a second, on a busy machine.
const LOOKS: u32 = 60;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

/// This party's account on every chain.
fn own() -> Address {
    address(&key(0x21))
}

/// The controller key of a contract.
fn controller(proxy: Proxy) -> SigningKey {
    key(if proxy.chain == CHAINS[0] { 0x31 } else { 0x32 })
}

/// What `[[contract]]` says; each test changes something.
#[derive(Clone)]
struct Section {
    proxy: Proxy,
    endpoints: Vec<String>,
    code: B256,
    first_block: u64,
    account: &'static str,
    price_max: u64,
}

impl Section {
    fn of(town: &EvmTown) -> Self {
        Self {
            proxy: town.proxy(),
            endpoints: vec![town.url()],
            code: town.code_hash(),
            first_block: town.first_block(),
            account: "evm.key",
            price_max: 100_000_000_000,
        }
    }

    fn text(&self) -> String {
        let Self { proxy, endpoints, code, first_block, account, price_max } = self;
        format!(
            r#"
[[contract]]
proxy = "{proxy}"
endpoints = {endpoints:?}
account = {{ file = "{account}" }}
code = ["{code}"]
first_block = {first_block}
tip_wei = 0
price_max_wei = {price_max}
max_loss_per_answer_wei = 20000000000000000
max_loss_per_day_wei = 100000000000000000
call_timeout = "5s"
"#
        )
    }
}

/// The folder of a party of two, whose peer is not there.
struct Party {
    folder: tempfile::TempDir,
}

impl Party {
    /// A party that has learned the controller keys of these contracts.
    fn of(proxies: &[Proxy]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let randomness = |seed| ChaCha20Rng::seed_from_u64(seed);
        let identities = [1, 2].map(|seed| NodeIdentity::generate(&mut randomness(seed)));
        identities[0].save_new(&at.join("identity.key")).unwrap();
        let entries = ["alpha", "beta"].into_iter().zip(&identities).map(|(name, identity)| RosterEntry {
            name: name.to_owned(),
            node_key: identity.public(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            accounts: Default::default(),
        });
        let mut roster = RosterFile::new(1, 2, entries).with_contracts(proxies.iter().copied());
        identities.iter().for_each(|identity| roster.sign(identity).unwrap());
        std::fs::write(at.join("roster.toml"), roster.to_toml().unwrap()).unwrap();
        secret(&at.join("store.key"), &STORE_KEY);
        secret(&at.join("evm.key"), &[0x21; 32]);
        secret(&at.join("poor.key"), &[0x22; 32]);
        let unlock = Unlock::KeyFile(Zeroizing::new(STORE_KEY));
        let store =
            RocksStore::create(&at.join("data"), &unlock, Argon2Cost::default(), Box::new(randomness(3))).unwrap();
        for proxy in proxies {
            let answer = controller(*proxy).verifying_key().to_sec1_bytes().to_vec();
            let decided = Some(Certificate { answer, accepts: Vec::new() });
            let record = Record { decided, ..Record::default() }.encode().unwrap();
            store.append(&[Entry::put(Table::Decree, controller_of(*proxy).to_bytes(), record)]).unwrap();
        }
        Self { folder }
    }

    fn config(&self, sections: &[Section]) -> PathBuf {
        let path = self.folder.path().join("keyringd.toml");
        let node = r#"
[node]
name = "alpha"
data_dir = "data"
roster = "roster.toml"
identity = { file = "identity.key" }
listen = ["/ip4/127.0.0.1/tcp/7799"]

[store]
unlock = { keyfile = { file = "store.key" } }
"#;
        let sections: String = sections.iter().map(Section::text).collect();
        std::fs::write(&path, format!("{node}{sections}")).unwrap();
        path
    }

    /// What is found about contracts; the peer that is not there is another matter.
    async fn checked(&self, sections: &[Section]) -> Vec<Finding> {
        let facts = gather::gather(&self.config(sections), &ProcessEnvironment).await;
        let findings = judge(&facts);
        assert_eq!(found(&findings, "roster").verdict, Verdict::Ok, "{findings:#?}");
        findings.into_iter().filter(|finding| finding.subject.starts_with("eip155:")).collect()
    }

    /// The same until it is so, since what is found is of final blocks.
    async fn until(&self, sections: &[Section], is_so: impl Fn(&[Finding]) -> bool) -> Vec<Finding> {
        for _ in 0..LOOKS {
            let findings = self.checked(sections).await;
            if is_so(&findings) {
                return findings;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("it never was so: {:#?}", self.checked(sections).await)
    }
}

fn secret(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Everything that is not as it should be: by chain and subject, and how bad.
fn notable(findings: &[Finding]) -> Vec<(String, Verdict)> {
    let notable = findings.iter().filter(|finding| finding.verdict != Verdict::Ok);
    notable.map(|finding| (finding.subject.clone(), finding.verdict)).collect()
}

fn found<'a>(findings: &'a [Finding], subject: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.subject == subject).unwrap_or_else(|| panic!("{subject}: {findings:#?}"))
}

/// The only thing that is not as it should be.
fn alone(findings: &[Finding], subject: &str, verdict: Verdict) -> Finding {
    assert_eq!(notable(findings), [(subject.to_owned(), verdict)], "{findings:#?}");
    found(findings, subject).clone()
}

async fn town(chain: u64, folder: &Path) -> EvmTown {
    let town = EvmTown::start(chain, &CHAINS, folder).await.unwrap();
    town.fund(own(), U256::from(ETHER)).await.unwrap();
    town
}

#[tokio::test]
async fn a_controller_key_has_its_role_on_its_own_contract_and_on_no_other() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = tokio::join!(town(CHAINS[0], place.path()), town(CHAINS[1], place.path()));
    let towns = [&one, &two];
    let party = Party::of(&towns.map(EvmTown::proxy));
    let sections = towns.map(Section::of);
    let keys = towns.map(|town| address(&controller(town.proxy())));

    // The contracts stand, and nobody has been granted anything.
    let subjects = CHAINS.map(|chain| format!("{} controller", chain_of(chain)));
    let ungranted = subjects.clone().map(|subject| (subject, Verdict::Warn));
    let findings = party.until(&sections, |findings| notable(findings) == ungranted).await;
    for (subject, key) in subjects.iter().zip(keys) {
        let finding = found(&findings, subject);
        assert!(finding.remedy.contains("grant it") && finding.remedy.contains(&key.to_string()), "{finding:?}");
    }

    for (town, key) in towns.iter().zip(keys) {
        town.grant(key).await.unwrap();
    }
    let well = party.until(&sections, |findings| notable(findings).is_empty()).await;
    assert_eq!(well.len(), 28, "{well:#?}");
    assert!(found(&well, &subjects[1]).found.contains(&keys[1].to_string()), "{well:#?}");

    // The first one's key is granted on the second as well.
    two.grant(keys[0]).await.unwrap();
    let findings = party.until(&sections, has_failed).await;
    let finding = alone(&findings, "eip155:31337 role elsewhere", Verdict::Fail);
    for named in [one.proxy().to_string(), two.proxy().to_string(), keys[0].to_string()] {
        assert!(finding.found.contains(&named), "{named}: {finding:?}");
    }
    assert!(finding.remedy.contains("revoke") && finding.remedy.contains(&keys[1].to_string()), "{finding:?}");
    // Who serves only one of the two cannot see it.
    assert!(notable(&party.checked(&sections[..1]).await).is_empty());

    // And so is this party's own account, on the first.
    one.grant(own()).await.unwrap();
    let both = |findings: &[Finding]| notable(findings).len() == 2;
    let findings = party.until(&sections, both).await;
    let finding = found(&findings, "eip155:31337 MPC role");
    assert!(finding.verdict == Verdict::Fail && finding.found.contains(&own().to_string()), "{finding:?}");
}

#[tokio::test]
async fn what_would_keep_a_party_from_a_contract_is_found_one_by_one() {
    let place = tempfile::tempdir().unwrap();
    let town = town(CHAINS[0], place.path()).await;
    town.grant(address(&controller(town.proxy()))).await.unwrap();
    let party = Party::of(&[town.proxy()]);
    let well = Section::of(&town);
    let found_with = async |change: &dyn Fn(&mut Section)| {
        let mut section = well.clone();
        change(&mut section);
        party.checked(&[section]).await
    };
    party.until(std::slice::from_ref(&well), |findings| notable(findings).is_empty()).await;

    let findings = found_with(&|section| section.code = B256::repeat_byte(7)).await;
    let finding = alone(&findings, "eip155:31337 code", Verdict::Fail);
    assert!(finding.found.contains(&town.code_hash().to_string()), "{finding:?}");

    let findings = found_with(&|section| section.endpoints.insert(0, DOWN.to_owned())).await;
    let finding = alone(&findings, &format!("eip155:31337 node {DOWN}"), Verdict::Warn);
    assert!(finding.found.contains("did not answer"), "{finding:?}");
    let findings = found_with(&|section| section.endpoints = vec![DOWN.to_owned()]).await;
    let failed = [format!("eip155:31337 node {DOWN}"), "eip155:31337 state".to_owned()];
    assert_eq!(notable(&findings), failed.map(|subject| (subject, Verdict::Fail)), "{findings:#?}");

    let findings = found_with(&|section| section.account = "poor.key").await;
    let finding = alone(&findings, "eip155:31337 funds", Verdict::Fail);
    assert!(finding.remedy.contains(&address(&key(0x22)).to_string()), "{finding:?}");

    let findings = found_with(&|section| section.first_block = 1_000_000).await;
    alone(&findings, "eip155:31337 first block", Verdict::Fail);
    let head = town.first_block() + 8;
    let findings = found_with(&|section| section.first_block = head).await;
    alone(&findings, "eip155:31337 first block", Verdict::Warn);

    let findings = found_with(&|section| section.price_max = 1).await;
    assert_eq!(found(&findings, "eip155:31337 gas price").verdict, Verdict::Fail, "{findings:#?}");
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_never_asked_about_the_contract() {
    let place = tempfile::tempdir().unwrap();
    let town = town(CHAINS[1], place.path()).await;
    let elsewhere = Proxy { chain: CHAINS[0], ..town.proxy() };
    let party = Party::of(&[elsewhere]);
    let findings = party.checked(&[Section { proxy: elsewhere, ..Section::of(&town) }]).await;
    let node = format!("eip155:31337 node {}", town.url());
    let failed = [node.clone(), "eip155:31337 state".to_owned()];
    assert_eq!(notable(&findings), failed.map(|subject| (subject, Verdict::Fail)), "{findings:#?}");
    assert!(found(&findings, &node).found.contains("serves chain 31338, not 31337"), "{findings:#?}");

    // And an address without a contract is no proxy.
    let nowhere = Proxy { address: Address::repeat_byte(9), ..town.proxy() };
    let party = Party::of(&[nowhere]);
    let findings = party.checked(&[Section { proxy: nowhere, ..Section::of(&town) }]).await;
    assert_eq!(found(&findings, "eip155:31338 proxy").verdict, Verdict::Fail, "{findings:#?}");
}
