//! A node with a zrSign contract, who asks there, and each party's own way to it. What it tells is read from the chain.
//!
//! [`World`] lays it out, and pins the base fee of each block that it makes. From [`Town::open`] on nobody pins it: it has
//! fallen to nearly nothing by then, and what a party offers is nearly its tip, whatever happens.

use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, TransactionReceipt};
use alloy_sol_types::{SolCall, SolEvent as _};
use chain_client::zrsign::name::Proxy;
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::test_owner::TestOwner;
use contracts::names::{EVM, MPC_ROLE};
use k256::ecdsa::SigningKey;
use keyring::identity::NodeIdentity;
use keyring::roster::RosterFile;
use sha2::Digest as _;

use crate::go_between::GoBetween;
use crate::ground::Ground;
use crate::node::CHAIN;
use crate::world::{Ask, IMPLEMENTATION_SLOT, STRANGER, TOTAL, USER, World, log, sign_params};

/// The chain's name, by CAIP-2.
pub(crate) const NAME: &str = "eip155:31337";
/// What a party offers for gas beyond the base fee.
const TIP_WEI: u128 = 1_000_000_000;
/// Most that one answer may cost a party: one transaction of 200,000 gas that reverts, and not two.
pub(crate) const MAX_LOSS_WEI: u128 = 300_000_000_000_000;
/// The same of a whole day: more than any test can lose.
const MAX_LOSS_DAY_WEI: u128 = 50 * MAX_LOSS_WEI;
/// Blocks that make final what stands in the newest one, and one more.
const FINAL_AFTER: u64 = 5;
/// Empty blocks after which the base fee is a two hundredth.
const BASE_FEE_FALLS: u64 = 40;
/// Generous: a machine may have much else to do.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Town {
    pub(crate) world: World,
    /// An owner of wallets that misbehaves when told to.
    pub(crate) owner: Address,
    /// By party.
    pub(crate) ways: Vec<GoBetween>,
}

/// What the contract was told about a signature request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) signature: Bytes,
    pub(crate) meta_data: Bytes,
    /// By which transaction.
    pub(crate) transaction: B256,
}

/// Waits until there is something to return.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let patience = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn secret(party: usize) -> [u8; 32] {
    sha2::Sha256::digest(format!("EVM account of party {party}")).into()
}

/// A party's account on this chain.
pub(crate) fn account(party: usize) -> Address {
    Address::from_private_key(&SigningKey::from_slice(&secret(party)).unwrap())
}

impl Town {
    /// With ten ether in the account of each party.
    pub(crate) async fn build(parties: u16) -> Self {
        let world = World::new().await;
        let mut ways = Vec::new();
        for party in 0..usize::from(parties) {
            world.fund(account(party)).await;
            ways.push(GoBetween::before(&world.provider).await);
        }
        let owner = world.test_owner(0).await;
        Self { world, owner, ways }
    }

    pub(crate) fn proxy(&self) -> Proxy {
        Proxy { chain: CHAIN, address: self.world.zr_sign }
    }

    /// The hash of the code that runs behind the proxy.
    pub(crate) async fn code(&self) -> B256 {
        let slot = self.world.storage(self.world.zr_sign, IMPLEMENTATION_SLOT.into()).await;
        keccak256(self.world.provider.get_code_at(Address::from_word(slot)).await.unwrap())
    }

    /// Puts the contract into the roster that all sign, and into everybody's configuration; `more` is what a party says of
    /// it beside that. Nobody runs yet.
    pub(crate) async fn settle(&self, ground: &Ground, more: impl Fn(usize) -> &'static str) {
        let parties = usize::from(ground.terms.of);
        let path = ground.folder.path().join("roster.toml");
        let mut roster = RosterFile::load(&path).unwrap().with_contracts([self.proxy()]);
        for (party, entry) in roster.parties.iter_mut().enumerate() {
            entry.accounts.insert(NAME.to_owned(), account(party).to_string());
        }
        let code = self.code().await;
        for party in 0..parties {
            let folder = ground.party_folder(party);
            let identity = std::fs::read(folder.join("identity")).unwrap();
            roster.sign(&NodeIdentity::from_secret(&identity).unwrap()).unwrap();
            std::fs::write(folder.join("evm"), secret(party)).unwrap();
            std::fs::set_permissions(folder.join("evm"), std::fs::Permissions::from_mode(0o600)).unwrap();
            // What happens on the other chain is of no interest here, and looking at it takes a core's time.
            let config = std::fs::read_to_string(folder.join("keyringd.toml")).unwrap();
            let config = config.replace("poll_interval = \"100ms\"", "poll_interval = \"1s\"");
            let section = self.section(party, code, more(party));
            std::fs::write(folder.join("keyringd.toml"), config + &section).unwrap();
        }
        std::fs::write(path, roster.to_toml().unwrap()).unwrap();
    }

    fn section(&self, party: usize, code: B256, more: &str) -> String {
        let (proxy, url) = (self.proxy(), self.ways[party].url());
        format!(
            r#"
[[contract]]
proxy = "{proxy}"
endpoints = ["{url}"]
account = {{ file = "evm" }}
code = ["{code}"]
first_block = 0
tip_wei = {TIP_WEI}
price_max_wei = 100000000000
max_loss_per_answer_wei = {MAX_LOSS_WEI}
max_loss_per_day_wei = {MAX_LOSS_DAY_WEI}
poll_interval = "500ms"
call_timeout = "4s"
{more}
"#
        )
    }

    /// The controller key may authorise answers from now on, and blocks come once a second.
    pub(crate) async fn open(&self, controller: Address) {
        self.world.done(self.world.admin(&ZrSign::grantRoleCall { role: MPC_ROLE, account: controller })).await;
        self.blocks_come().await;
        self.mine(BASE_FEE_FALLS).await;
    }

    // --- blocks -----------------------------------------------------------------------------------------------------

    pub(crate) async fn blocks_come(&self) {
        let _: () = self.world.rpc("evm_setIntervalMining", [1]).await;
    }

    /// Only this test makes blocks now, so that it knows where the chain stands.
    pub(crate) async fn blocks_stop(&self) {
        let _: () = self.world.rpc("evm_setIntervalMining", [0]).await;
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        let _: () = self.world.rpc("anvil_mine", [U256::from(blocks)]).await;
    }

    /// What stands in a block is final.
    pub(crate) async fn hurry(&self) {
        self.mine(FINAL_AFTER).await;
    }

    /// While something is waited for, two more blocks come each second, and not more: who looks must keep pace.
    pub(crate) async fn hurrying<T>(&self, waiting: impl Future<Output = T>) -> T {
        let blocks = async {
            loop {
                self.mine(1).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            done = waiting => done,
            () = blocks => unreachable!(),
        }
    }

    pub(crate) async fn last_final(&self) -> u64 {
        let block = self.world.provider.get_block_by_number(BlockNumberOrTag::Finalized).await.unwrap();
        block.unwrap().header.number
    }

    /// Other blocks take the place of so many, without what was in them.
    pub(crate) async fn reorganise(&self, depth: u64) {
        let _: () = self.world.rpc("anvil_reorg", (depth, [(); 0])).await;
    }

    // --- requests ---------------------------------------------------------------------------------------------------

    /// A hash that the user's first wallet shall sign. Its trace number.
    pub(crate) async fn ask_hash(&self, hash: B256) -> u64 {
        let receipt = self.ask(&ZrSign::zrSignHashCall { params: sign_params(hash, false) }).await;
        trace(&receipt)
    }

    /// The user asks for something and pays for it.
    pub(crate) async fn ask(&self, call: &impl SolCall) -> TransactionReceipt {
        self.done(self.world.call(USER, call).value(TOTAL)).await
    }

    /// In the next block, which is made at once. It must succeed.
    pub(crate) async fn done(&self, ask: Ask) -> TransactionReceipt {
        let hash = *self.world.provider.send_transaction(ask.request()).await.unwrap().tx_hash();
        self.mine(1).await;
        let receipt = self.world.receipt(hash).await;
        assert!(receipt.status(), "reverted: {ask:?}");
        receipt
    }

    /// What somebody signed, in the next block, which is made at once.
    pub(crate) async fn bring(&self, bytes: &[u8]) -> TransactionReceipt {
        let hash = *self.world.provider.send_raw_transaction(bytes).await.unwrap().tx_hash();
        self.mine(1).await;
        self.world.receipt(hash).await
    }

    /// What it would revert with.
    pub(crate) async fn refusal(&self, ask: &Ask) -> Bytes {
        let error = self.world.provider.call(ask.request()).await.unwrap_err();
        error.as_error_resp().unwrap().as_revert_data().unwrap()
    }

    /// From now on the owner takes its change (0) or burns the gas (2).
    pub(crate) async fn owner_behaves(&self, mode: u8) {
        let call = TestOwner::behaveCall { mode_: mode, target_: self.world.zr_sign, callData_: Bytes::new() };
        self.done(self.world.call(STRANGER, &call).to(self.owner)).await;
    }

    async fn read<C: SolCall>(&self, call: C) -> C::Return {
        let bytes = self.world.provider.call(self.world.call(STRANGER, &call).request()).await.unwrap();
        C::abi_decode_returns(&bytes).unwrap()
    }

    /// The user's first wallet, from the request to the answer.
    pub(crate) async fn with_wallet(&self) -> Address {
        let params = IZrSign::ZrKeyReqParams { owner: USER, walletTypeId: EVM, options: 1 };
        self.ask(&ZrSign::zrKeyReqCall { params }).await;
        self.hurry().await;
        self.wallet_of(USER).await
    }

    /// The first wallet of an owner, once there is one.
    pub(crate) async fn wallet_of(&self, owner: Address) -> Address {
        let wallets =
            until("a wallet", async || Some(self.wallets(owner).await).filter(|found| !found.is_empty())).await;
        Address::parse_checksummed(&wallets[0], None).unwrap()
    }

    // --- answers ----------------------------------------------------------------------------------------------------

    /// The wallets of an owner.
    pub(crate) async fn wallets(&self, owner: Address) -> Vec<String> {
        self.read(ZrSign::getZrKeysCall { walletTypeId: EVM, owner }).await
    }

    /// Whether the contract would still take an answer.
    pub(crate) async fn is_open(&self, trace: u64) -> bool {
        self.read(ZrSign::getRequestStateCall { traceId: U256::from(trace) }).await.status == 1
    }

    /// Every answer that the contract has taken for a signature request.
    pub(crate) async fn answers(&self, trace: u64) -> Vec<Answer> {
        let filter = Filter::new()
            .address(self.world.zr_sign)
            .event_signature(ZrSign::ZrSigResolve::SIGNATURE_HASH)
            .topic1(U256::from(trace))
            .from_block(0);
        let logs = self.world.provider.get_logs(&filter).await.unwrap();
        let answer = |log: &alloy_rpc_types_eth::Log| {
            let resolve = ZrSign::ZrSigResolve::decode_log(&log.inner).unwrap().data;
            let transaction = log.transaction_hash.unwrap();
            Answer { signature: resolve.signature, meta_data: resolve.metaData, transaction }
        };
        logs.iter().map(answer).collect()
    }

    /// The answer to a request for a hash, once there is one: by this wallet, over this hash.
    pub(crate) async fn answered(&self, trace: u64, hash: B256, wallet: Address) -> Answer {
        let answers =
            until("an answer", async || Some(self.answers(trace).await).filter(|found| !found.is_empty())).await;
        let [answer] = answers.as_slice() else { panic!("answered {} times", answers.len()) };
        assert_eq!(answer.meta_data.as_ref(), hash.as_slice());
        assert_eq!(signer(&answer.signature, hash), wallet);
        answer.clone()
    }

    /// The account's nonce, in blocks and with what waits for one.
    pub(crate) async fn nonces(&self, account: Address) -> (u64, u64) {
        let latest = self.world.provider.get_transaction_count(account).await.unwrap();
        (latest, self.world.provider.get_transaction_count(account).pending().await.unwrap())
    }

    /// Whether the node has a transaction, in a block or waiting for one.
    pub(crate) async fn knows(&self, transaction: B256) -> bool {
        self.world.provider.get_transaction_by_hash(transaction).await.unwrap().is_some()
    }

    pub(crate) async fn balance(&self, account: Address) -> u128 {
        self.world.balance(account).await.to()
    }
}

/// The number of the signature request in a receipt.
pub(crate) fn trace(receipt: &TransactionReceipt) -> u64 {
    log::<ZrSign::ZrSigRequest>(receipt).traceId.to()
}

/// Whose signature this is: `r‖s‖v`, `v` 0 or 1, `s` in the lower half.
pub(crate) fn signer(bytes: &[u8], digest: B256) -> Address {
    let [rs @ .., parity @ (0 | 1)] = bytes else { panic!("{} bytes", bytes.len()) };
    let signature = Signature::from_bytes_and_parity(rs, *parity == 1);
    assert!(rs.len() == 64 && signature.normalize_s().is_none());
    signature.recover_address_from_prehash(&digest).unwrap()
}
