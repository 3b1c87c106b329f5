//! Who lives in the simulated world: parties with node keys and accounts, users, keyrings and workspaces, and the pen
//! that signs a party's transactions. A function of (t, n) alone, so that disks prepared once serve every seed.

use std::collections::BTreeSet;
use std::sync::Arc;

use chain_client::{ChainId, Charge, FeePolicy, GasPrice, PartyAccount, Seat, SignedTx, fee, tx};
use devnet::chain::{
    Genesis, GenesisAccount, GenesisKeyring, GenesisWorkspace, IdentityParams, PolicyParams, TreasuryParams,
    keyring_of, workspace_of,
};
use ed25519_dalek::VerifyingKey;
use keyring::committee::Committee;
use keyring::identity::NodeIdentity;
use keyring::outbox::{Order, Pen};
use mpc_core::{PartyIndex, Threshold};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The simulated chain's name.
pub(crate) const CHAIN: &str = "sim-1";
/// What the chain asks for gas.
const GAS_PRICE: &str = "0.0001urock";
/// Life of a request, in blocks.
pub(crate) const LIFE_BLOCKS: u64 = 120;
/// Key ids that the chain reserves for itself and that need no owner. Key 2 is always one of ours.
pub(crate) const RESERVED: [u64; 1] = [2];

/// Everybody.
pub(crate) struct Town {
    pub(crate) threshold: Threshold,
    pub(crate) committee: Arc<Committee>,
    pub(crate) node_keys: Vec<Arc<NodeIdentity>>,
    pub(crate) accounts: Vec<Arc<PartyAccount>>,
    /// Owns the workspace and asks for things.
    pub(crate) user: PartyAccount,
    /// The only party of the foreign keyring, owner of the foreign workspace, admin of both keyrings.
    pub(crate) stranger: PartyAccount,
    /// Accounts that the keyring lists and that no node has: whoever holds them can make keys that are not ours.
    pub(crate) ghosts: Vec<PartyAccount>,
    /// The connector of zrSign.
    pub(crate) connector: PartyAccount,
    pub(crate) keyring: String,
    pub(crate) foreign_keyring: String,
    pub(crate) workspace: String,
    pub(crate) foreign_workspace: String,
}

impl Town {
    pub(crate) fn new(need: u16, of: u16) -> Self {
        let Ok(threshold) = Threshold::new(need, of) else { unreachable!("{need} of {of} is no threshold") };
        let identity = |party| NodeIdentity::from_seed(&Zeroizing::new(secret(&format!("node {party}"))));
        let node_keys: Vec<Arc<NodeIdentity>> = (0..of).map(|party| Arc::new(identity(party))).collect();
        let verifying = node_keys.iter().filter_map(|key| VerifyingKey::from_bytes(&key.public()).ok()).collect();
        let Some(committee) = Committee::new(1, threshold, verifying) else { unreachable!("one key per party") };
        Self {
            threshold,
            committee: Arc::new(committee),
            node_keys,
            accounts: (0..of).map(|party| Arc::new(account(&format!("party {party}")))).collect(),
            user: account("user"),
            stranger: account("stranger"),
            ghosts: (0..need).map(|ghost| account(&format!("ghost {ghost}"))).collect(),
            connector: account("connector"),
            keyring: keyring_of(1),
            foreign_keyring: keyring_of(2),
            workspace: workspace_of(1),
            foreign_workspace: workspace_of(2),
        }
    }

    /// The chain's `party_threshold`: within `t ≤ p ≤ Q`.
    pub(crate) fn answers_needed(&self) -> u32 {
        u32::from(self.threshold.need())
    }

    pub(crate) fn genesis(&self) -> Genesis {
        let funded = self.accounts.iter().map(|account| account.address().to_owned());
        let others = [&self.user, &self.stranger, &self.connector].into_iter().chain(&self.ghosts);
        let people = funded.chain(others.map(|account| account.address().to_owned()));
        let accounts = (0..).zip(people).map(|(number, address)| GenesisAccount {
            address,
            module: None,
            urock: 1_000_000_000_000,
            name: None,
            number,
            sequence: 0,
        });
        let keyring = |address: &String, parties: Vec<String>, party_threshold| GenesisKeyring {
            address: address.clone(),
            admins: vec![self.stranger.address().to_owned()],
            parties,
            party_threshold,
            is_active: true,
            ..GenesisKeyring::default()
        };
        let workspace = |address: &String, owner: &PartyAccount| GenesisWorkspace {
            address: address.clone(),
            owners: vec![owner.address().to_owned()],
            ..GenesisWorkspace::default()
        };
        let parties = self.accounts.iter().map(AsRef::as_ref).chain(&self.ghosts);
        let ours = parties.map(|account: &PartyAccount| account.address().to_owned()).collect();
        Genesis {
            chain_id: CHAIN.to_owned(),
            accounts: accounts.collect(),
            treasury_params: TreasuryParams {
                min_gas_fee: GAS_PRICE.to_owned(),
                default_btl: LIFE_BLOCKS,
                mpc_keyring: self.keyring.clone(),
                zr_sign_address: self.connector.address().to_owned(),
                ..TreasuryParams::default()
            },
            identity_params: IdentityParams::default(),
            policy_params: PolicyParams::default(),
            reserved_key_ids: BTreeSet::from(RESERVED),
            asset_proxies: [("ASSET_ZENBTC".to_owned(), self.user.address().to_owned())].into(),
            keyrings: vec![
                keyring(&self.keyring, ours, self.answers_needed()),
                keyring(&self.foreign_keyring, vec![self.stranger.address().to_owned()], 1),
            ],
            workspaces: vec![
                workspace(&self.workspace, &self.user),
                workspace(&self.foreign_workspace, &self.stranger),
            ],
            policies: Vec::new(),
            remarks: Vec::new(),
        }
    }

    pub(crate) fn pen(&self, party: PartyIndex) -> Arc<dyn Pen + Send + Sync> {
        Arc::new(SimPen { account: self.account(party).clone(), chain: chain_id(), price: price() })
    }

    pub(crate) fn account(&self, party: PartyIndex) -> &Arc<PartyAccount> {
        &self.accounts[usize::from(party.get())]
    }

    pub(crate) fn node_key(&self, party: PartyIndex) -> &Arc<NodeIdentity> {
        &self.node_keys[usize::from(party.get())]
    }

    /// A user's transaction.
    pub(crate) fn user_tx(account: &PartyAccount, number: u64, sequence: u64, message: prost_types::Any) -> SignedTx {
        const GAS: u64 = 2_000_000;
        let seat = Seat { chain: chain_id(), account_number: number, sequence };
        let Ok(charge) = POLICY.charge(GAS, price()) else { unreachable!("below the ceiling") };
        tx::sign_messages(account, &seat, vec![message], charge)
    }
}

const POLICY: FeePolicy = FeePolicy { floor_urock: 1, ceiling_urock: 1_000_000 };

/// Signs a party's transactions, deterministically.
struct SimPen {
    account: Arc<PartyAccount>,
    chain: ChainId,
    price: GasPrice,
}

impl SimPen {
    fn charge(&self, gas: u64, fee_step: u32) -> Option<Charge> {
        let charge = POLICY.charge(gas, self.price).ok()?;
        let fee_urock = charge.fee_urock.checked_mul(1 << fee_step.min(64))?;
        (fee_urock <= POLICY.ceiling_urock).then_some(Charge { fee_urock, ..charge })
    }

    fn seat(&self, account_number: u64, sequence: u64) -> Seat {
        Seat { chain: self.chain.clone(), account_number, sequence }
    }
}

impl Pen for SimPen {
    fn account(&self) -> &str {
        self.account.address()
    }

    fn answer(&self, order: &Order<'_>) -> Option<SignedTx> {
        let charge = self.charge(order.load.gas_limit() << order.gas_step, order.fee_step)?;
        let seat = self.seat(order.account_number, order.sequence);
        Some(tx::answer(&self.account, &seat, order.request, order.answer, charge))
    }

    fn fee(&self, order: &Order<'_>) -> Option<u128> {
        Some(self.charge(order.load.gas_limit() << order.gas_step, order.fee_step)?.fee_urock)
    }

    fn nothing(&self, account_number: u64, sequence: u64, fee_step: u32) -> Option<SignedTx> {
        let charge = self.charge(fee::nothing_gas_limit(), fee_step)?;
        Some(tx::nothing(&self.account, &self.seat(account_number, sequence), charge))
    }
}

pub(crate) fn chain_id() -> ChainId {
    match ChainId::new(CHAIN) {
        Ok(chain) => chain,
        Err(error) => unreachable!("{error}"),
    }
}

fn price() -> GasPrice {
    match GasPrice::parse(GAS_PRICE) {
        Ok(price) => price,
        Err(error) => unreachable!("{error}"),
    }
}

fn secret(name: &str) -> [u8; 32] {
    Sha256::digest(format!("simulated {name}")).into()
}

fn account(name: &str) -> PartyAccount {
    match PartyAccount::from_bytes(&Zeroizing::new(secret(name))) {
        Ok(account) => account,
        Err(error) => unreachable!("{error}"),
    }
}
