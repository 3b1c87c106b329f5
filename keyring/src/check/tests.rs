mod contracts;

use super::*;
use crate::identity::NodeIdentity;
use crate::roster::{RosterEntry, RosterFile};
use chain_client::Height;
use chain_client::zrsign::name::Proxy;
use zeroize::Zeroizing;

const NOW_MS: u64 = 1_700_000_000_000;

fn identity(seed: u8) -> NodeIdentity {
    NodeIdentity::from_seed(&Zeroizing::new([seed; 32]))
}

fn account(seed: u8) -> String {
    format!("zen1party{seed}")
}

/// 2 of 5: t = 2, Q = 3.
fn roster() -> Roster {
    roster_with(&[], |_| BTreeMap::new())
}

/// The same with these contracts, and with more accounts.
fn roster_with(contracts: &[Proxy], more: impl Fn(u8) -> BTreeMap<String, String>) -> Roster {
    let entry = |seed: u8| RosterEntry {
        name: format!("party-{seed}"),
        node_key: identity(seed).public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 7_000 + u16::from(seed))],
        accounts: std::iter::once(("zenrock".to_owned(), account(seed))).chain(more(seed)).collect(),
    };
    let mut file = RosterFile::new(1, 2, (1..=5).map(entry)).with_contracts(contracts.iter().copied());
    for seed in 1..=5 {
        file.sign(&identity(seed)).unwrap();
    }
    file.verify().unwrap()
}

fn block(height: u64) -> Block {
    let time_unix_ms = i64::try_from(NOW_MS).unwrap() - 900;
    Block { height: Height(height), hash: [height as u8; 32], time_unix_ms }
}

fn node(name: &str, height: u64) -> EndpointFacts {
    EndpointFacts { name: name.to_owned(), head: Ok(block(height)), wall_ms: NOW_MS, common: Some([9; 32]) }
}

fn state() -> ChainState {
    let keyring = KeyringFacts {
        address: "keyring1x".to_owned(),
        parties: (1..=5).map(account).collect(),
        party_threshold: 3,
        key_fee_urock: 75,
        signature_fee_urock: 50,
        active: true,
    };
    ChainState {
        keyring: Some(keyring),
        account: Some(AccountFacts { number: 7, sequence: 3 }),
        balance_urock: 1_000_000_000,
        price: GasPrice::parse("0.0001urock").map_err(|error| error.to_string()),
    }
}

/// A store of the party with this seed.
fn opens(seed: u8) -> StoreFacts {
    StoreFacts::Opens { position: 4, owner: Some(identity(seed).public().to_vec()) }
}

/// A party that is well in every respect.
fn well() -> PartyFacts {
    let secret = |field: &str| SecretFacts {
        field: field.to_owned(),
        place: format!("/srv/{field}"),
        fault: None,
        inherited: false,
    };
    let here = PeerFacts { fault: None, other_roster: false, ahead_ms: Some(12) };
    PartyFacts {
        name: "party-1".to_owned(),
        secrets: vec![secret("node.identity"), secret("store.unlock"), secret("chain.account")],
        folder_mode: Some(0o700),
        node_key: Some(identity(1).public()),
        roster: Ok(roster()),
        store: StoreFacts::InUse,
        disk_free: Ok(50 << 30),
        running: Some(RunningFacts { roster: roster().digest(), ..RunningFacts::default() }),
        peers: (2..=5).map(|seed| (format!("party-{seed}"), here.clone())).collect(),
        chains: vec![ChainFacts {
            id: "zenrock".to_owned(),
            keyring: "keyring1x".to_owned(),
            account: Some(account(1)),
            fees: FeePolicy { floor_urock: 0, ceiling_urock: 1_000_000 },
            endpoints: vec![node("http://one", 40), node("http://two", 41)],
            state: Ok(state()),
        }],
        contracts: Vec::new(),
    }
}

fn judged(party: PartyFacts) -> Vec<Finding> {
    judge(&Facts { config_path: "/srv/keyringd.toml".to_owned(), party: Ok(party) })
}

/// The one thing that stands out after a change, with a remedy beside it.
fn only(verdict: Verdict, change: impl FnOnce(&mut PartyFacts)) -> Finding {
    only_of(well(), verdict, change)
}

fn only_of(mut party: PartyFacts, verdict: Verdict, change: impl FnOnce(&mut PartyFacts)) -> Finding {
    change(&mut party);
    let findings = judged(party);
    let mut notable = findings.iter().filter(|finding| finding.verdict != Verdict::Ok);
    let first = notable.next().unwrap_or_else(|| panic!("nothing stands out: {findings:#?}")).clone();
    assert!(notable.next().is_none(), "more than one stands out: {findings:#?}");
    assert_eq!(first.verdict, verdict, "{first:?}");
    assert!(!first.remedy.is_empty(), "{first:?}");
    assert_eq!(has_failed(&findings), verdict == Verdict::Fail);
    first
}

fn fails(change: impl FnOnce(&mut PartyFacts)) -> String {
    only(Verdict::Fail, change).subject
}

fn warns(change: impl FnOnce(&mut PartyFacts)) -> String {
    only(Verdict::Warn, change).subject
}

fn keyring(party: &mut PartyFacts) -> &mut KeyringFacts {
    party.chains[0].state.as_mut().unwrap().keyring.as_mut().unwrap()
}

fn chain_state(party: &mut PartyFacts) -> &mut ChainState {
    party.chains[0].state.as_mut().unwrap()
}

#[test]
fn of_a_party_that_is_well_nothing_stands_out() {
    let findings = judged(well());
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.remedy.is_empty()), "{findings:#?}");
    let subjects: std::collections::BTreeSet<_> = findings.iter().map(|finding| &finding.subject).collect();
    assert_eq!(subjects.len(), findings.len(), "each subject once: {findings:#?}");
    assert_eq!(findings.len(), 15, "{findings:#?}");
}

#[test]
fn a_configuration_that_does_not_parse_ends_the_check() {
    let findings = judge(&Facts { config_path: "x".to_owned(), party: Err("node.name is empty".to_owned()) });
    assert_eq!(findings.len(), 1);
    assert!(has_failed(&findings) && findings[0].found.contains("node.name"));
}

#[test]
fn a_secret_that_cannot_be_read_fails_and_one_that_is_inherited_is_noted() {
    let unreadable = |party: &mut PartyFacts| party.secrets[1].fault = Some("mode 0644".to_owned());
    assert_eq!(fails(unreadable), "secret store.unlock");
    assert_eq!(warns(|party| party.secrets[0].inherited = true), "secret node.identity");
}

#[test]
fn a_roster_that_is_missing_or_not_ours_fails() {
    let mut party = well();
    party.roster = Err("the signature of party-3 is missing".to_owned());
    assert!(has_failed(&judged(party)));
    assert_eq!(fails(|party| party.node_key = Some(identity(9).public())), "roster");
    assert_eq!(fails(|party| party.node_key = None), "roster");
    assert_eq!(fails(|party| party.name = "party-2".to_owned()), "roster");
}

#[test]
fn an_account_that_the_roster_does_not_name_fails() {
    let finding = only(Verdict::Fail, |party| party.chains[0].account = Some("zen1other".to_owned()));
    assert_eq!(finding.subject, "roster");
    assert!(finding.found.contains("zen1other") && finding.found.contains("zen1party1"), "{finding:?}");
}

#[test]
fn a_store_that_does_not_open_or_is_not_ours_fails() {
    assert_eq!(fails(|party| party.store = StoreFacts::Fault("wrong key".to_owned())), "store");
    assert_eq!(fails(|party| party.store = StoreFacts::NoKey), "store");
    assert_eq!(fails(|party| party.store = opens(2)), "store", "it is another party's");
    let silent = judged(PartyFacts { running: None, ..well() });
    assert!(silent.iter().any(|finding| finding.subject == "store" && finding.verdict == Verdict::Warn));
}

#[test]
fn a_store_that_others_may_enter_fails() {
    assert_eq!(fails(|party| party.folder_mode = Some(0o755)), "folder");
}

#[test]
fn a_short_disk_is_noted_and_a_full_one_fails() {
    assert_eq!(warns(|party| party.disk_free = Ok(1 << 30)), "disk");
    assert_eq!(fails(|party| party.disk_free = Ok(1 << 20)), "disk");
    assert_eq!(warns(|party| party.disk_free = Err("no such file".to_owned())), "disk");
}

#[test]
fn a_node_that_does_not_contribute_fails_and_says_why() {
    let idle = |party: &mut PartyFacts| party.running.as_mut().unwrap().not_ready = vec!["no funds".to_owned()];
    let finding = only(Verdict::Fail, idle);
    assert!(finding.subject == "node" && finding.found.contains("no funds"), "{finding:?}");
    assert_eq!(warns(|party| party.running.as_mut().unwrap().degraded = vec!["shelf".to_owned()]), "node");
    assert_eq!(fails(|party| party.running.as_mut().unwrap().roster = [0; 32]), "node");
    let off = |party: &mut PartyFacts| (party.running, party.store) = (None, opens(1));
    assert_eq!(warns(off), "node");
}

#[test]
fn a_peer_that_is_away_is_noted_and_too_many_fail() {
    let away = |party: &mut PartyFacts, count: u8| {
        for seed in 0..count {
            let peer = party.peers.get_mut(&format!("party-{}", 5 - seed)).unwrap();
            peer.fault = Some("cannot be reached".to_owned());
        }
    };
    assert_eq!(warns(|party| away(party, 1)), "peer party-5");
    let mut party = well();
    away(&mut party, 3);
    let findings = judged(party);
    let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
    assert_eq!(failed.len(), 1, "{findings:#?}");
    assert_eq!(failed[0].subject, "peers", "with this party two of the three that agreement needs");
}

#[test]
fn a_peer_with_another_roster_is_named_and_fails() {
    let other = |party: &mut PartyFacts| {
        let peer = party.peers.get_mut("party-4").unwrap();
        (peer.fault, peer.other_roster) = (Some("holds another".to_owned()), true);
    };
    assert_eq!(fails(other), "peer party-4");
}

#[test]
fn a_clock_that_is_off_is_noted_and_one_far_off_fails() {
    let set = |party: &mut PartyFacts, ahead| party.peers.values_mut().for_each(|peer| peer.ahead_ms = Some(ahead));
    assert_eq!(warns(|party| set(party, 15_000)), "clock");
    assert_eq!(fails(|party| set(party, -3_600_000)), "clock");
}

#[test]
fn without_peers_the_clock_is_held_against_the_newest_block() {
    let alone = |party: &mut PartyFacts| party.peers.values_mut().for_each(|peer| peer.ahead_ms = None);
    let shifted = |party: &mut PartyFacts, wall_ms| {
        alone(party);
        party.chains[0].endpoints.iter_mut().for_each(|node| node.wall_ms = wall_ms);
    };
    let mut party = well();
    alone(&mut party);
    let findings = judged(party);
    let clock = findings.iter().find(|finding| finding.subject == "clock").unwrap();
    assert!(clock.verdict == Verdict::Ok && clock.found.contains("block"), "{clock:?}");
    assert_eq!(fails(|party| shifted(party, NOW_MS - 600_000)), "clock");
    assert_eq!(warns(|party| shifted(party, NOW_MS + 60_000)), "clock");
}

#[test]
fn one_node_of_a_chain_may_be_silent_or_late_but_not_all() {
    let silent = |party: &mut PartyFacts, place: usize| {
        party.chains[0].endpoints[place].head = Err("it serves chain \"other\"".to_owned());
    };
    assert_eq!(warns(|party| silent(party, 0)), "zenrock node http://one");
    assert_eq!(warns(|party| party.chains[0].endpoints[1] = node("http://two", 60)), "zenrock node http://one");
    let mut party = well();
    silent(&mut party, 0);
    silent(&mut party, 1);
    party.chains[0].state = Err("nobody answers".to_owned());
    let failed = judged(party).iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    assert_eq!(failed, 3, "both nodes, and the state");
}

#[test]
fn nodes_of_different_chains_fail() {
    assert_eq!(fails(|party| party.chains[0].endpoints[1].common = Some([8; 32])), "zenrock nodes");
}

#[test]
fn a_keyring_that_is_missing_or_off_fails() {
    let mut party = well();
    chain_state(&mut party).keyring = None;
    assert!(judged(party).iter().any(|it| it.subject == "zenrock keyring" && it.verdict == Verdict::Fail));
    assert_eq!(fails(|party| keyring(party).active = false), "zenrock keyring");
}

#[test]
fn the_keyrings_parties_must_be_the_rosters_accounts_and_no_others() {
    let unlisted = only(Verdict::Fail, |party| drop(keyring(party).parties.remove(3)));
    assert!(unlisted.subject == "zenrock members" && unlisted.found.contains("party-4"), "{unlisted:?}");
    let ours = only(Verdict::Fail, |party| drop(keyring(party).parties.remove(0)));
    assert!(ours.found.contains("party-1"), "{ours:?}");
    let stranger = only(Verdict::Fail, |party| keyring(party).parties.push("zen1stranger".to_owned()));
    assert!(stranger.found.contains("zen1stranger"), "{stranger:?}");
}

#[test]
fn the_party_threshold_lies_between_signers_and_quorum() {
    for (threshold, is_fit) in [(0, false), (1, false), (2, true), (3, true), (4, false), (5, false)] {
        let mut party = well();
        keyring(&mut party).party_threshold = threshold;
        let findings = judged(party);
        let found = findings.iter().find(|finding| finding.subject == "zenrock threshold").unwrap();
        assert_eq!(found.verdict == Verdict::Ok, is_fit, "{threshold}: {found:?}");
        assert_eq!(has_failed(&findings), !is_fit);
    }
}

#[test]
fn an_account_that_does_not_exist_fails() {
    assert_eq!(fails(|party| chain_state(party).account = None), "zenrock account");
}

#[test]
fn funds_are_counted_in_answers() {
    // 0.0001 urock of some 190 000 gas, and the keyring's 75.
    assert_eq!(fails(|party| chain_state(party).balance_urock = 50), "zenrock funds");
    let few = only(Verdict::Warn, |party| chain_state(party).balance_urock = 10_000);
    assert!(few.subject == "zenrock funds" && few.remedy.contains("send it"), "{few:?}");
    let mut free = well();
    chain_state(&mut free).price = GasPrice::parse("").map_err(|error| error.to_string());
    (keyring(&mut free).key_fee_urock, keyring(&mut free).signature_fee_urock) = (0, 0);
    chain_state(&mut free).balance_urock = 0;
    assert!(!has_failed(&judged(free)), "where answers cost nothing no funds are needed");
}

#[test]
fn a_fee_ceiling_below_the_chains_price_fails_and_one_near_it_is_noted() {
    let ceiling = |party: &mut PartyFacts, urock| party.chains[0].fees.ceiling_urock = urock;
    assert_eq!(fails(|party| ceiling(party, 5)), "zenrock gas price");
    assert_eq!(warns(|party| ceiling(party, 30)), "zenrock gas price");
    assert_eq!(fails(|party| chain_state(party).price = Err("no number".to_owned())), "zenrock gas price");
}
