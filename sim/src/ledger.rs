//! The embedded chain and how a party's endpoint shows it: encoded queries answered by the chain's own machine, read by
//! chain-client's own mapping. Every read names its height.

use std::collections::BTreeMap;
use std::time::Duration;

use chain_client::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use chain_client::proto::cosmos::tx::v1beta1::{BroadcastMode, BroadcastTxRequest, BroadcastTxResponse};
use chain_client::proto::zrchain::{identity, treasury};
use chain_client::zrchain::{hint, map};
use chain_client::{
    AccountFacts, AnswerLoad, Ask, ChainKey, EndpointId, Height, Hint, KeyringFacts, LowWater, MixedReading, Pinned,
    Reading, Request, RequestId, RequestKind, Standing,
};
use devnet::chain::{BlockOutcome, Chain};
use keyring::admission::Sighting;
use keyring::decree::DecreeId;
use prost::Message;

/// Blocks are dated from here: a time of the chain, not of any clock.
const GENESIS_SECONDS: u64 = 1_800_000_000;

/// The chain.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) chain: Chain,
    keyring: String,
    scans: BTreeMap<u64, Vec<Request>>,
}

impl Ledger {
    pub(crate) fn new(chain: Chain, keyring: String) -> Self {
        Self { chain, keyring, scans: BTreeMap::new() }
    }

    pub(crate) fn height(&self) -> u64 {
        self.chain.height()
    }

    /// The hash of the block of a height; of height 0, and of blocks no longer kept, 32 zero bytes.
    pub(crate) fn hash(&self, at: u64) -> [u8; 32] {
        self.chain.block(at).map_or([0; 32], |block| block.hash)
    }

    pub(crate) fn make_block(&mut self, now_ms: u64) -> BlockOutcome {
        let time = Duration::from_secs(GENESIS_SECONDS) + Duration::from_millis(now_ms);
        match self.chain.make_block(time) {
            Ok(outcome) => outcome,
            Err(stalled) => unreachable!("nothing here carries a timeout height: {stalled}"),
        }
    }

    /// Empty when the chain does not know the thing, or the height.
    fn ask<A: Message + Default>(&self, path: &str, question: &impl Message, at: u64) -> Option<A> {
        let (reply, _) = self.chain.query(path, &question.encode_to_vec(), Some(at)).ok()?;
        A::decode(reply.as_slice()).ok()
    }

    pub(crate) fn request(&self, id: RequestId, at: u64) -> Option<Request> {
        let number = id.number;
        match id.kind {
            RequestKind::Key => {
                let question = treasury::QueryKeyRequestByIdRequest { id: number };
                let reply: treasury::QueryKeyRequestByIdResponse =
                    self.ask("/zrchain.treasury.Query/KeyRequestByID", &question, at)?;
                map::key_request(reply.key_request?).ok()
            }
            RequestKind::Signature => {
                let question = treasury::QuerySignatureRequestByIdRequest { id: number };
                let reply: treasury::QuerySignatureRequestByIdResponse =
                    self.ask("/zrchain.treasury.Query/SignatureRequestByID", &question, at)?;
                map::signature_request(reply.sign_request?).ok()
            }
        }
    }

    pub(crate) fn key(&self, id: u64, at: u64) -> Option<ChainKey> {
        let question = treasury::QueryKeyByIdRequest { id, ..Default::default() };
        let reply: treasury::QueryKeyByIdResponse = self.ask("/zrchain.treasury.Query/KeyByID", &question, at)?;
        map::key(reply.key?).ok()
    }

    pub(crate) fn standing(&self, id: RequestId, at: u64) -> Standing {
        match self.request(id, at) {
            None => Standing::Gone,
            Some(request) if id.kind == RequestKind::Key && !request.status.is_open() => {
                map::standing(request, self.key(id.number, at))
            }
            Some(request) => map::standing(request, None),
        }
    }

    pub(crate) fn account(&self, address: &str, at: u64) -> Option<AccountFacts> {
        let question = QueryAccountRequest { address: address.to_owned() };
        let reply: QueryAccountResponse = self.ask("/cosmos.auth.v1beta1.Query/Account", &question, at)?;
        let account = BaseAccount::decode(reply.account?.value.as_slice()).ok()?;
        Some(AccountFacts { number: account.account_number, sequence: account.sequence })
    }

    /// Account and request of one endpoint and height.
    pub(crate) fn reading(
        &self,
        account: &str,
        id: RequestId,
        endpoint: EndpointId,
        at: u64,
    ) -> Option<Result<Reading, MixedReading>> {
        let account = self.account(account, at)?;
        let pinned = Pinned { endpoint, height: Height(at), value: account };
        let standing = Pinned { endpoint, height: Height(at), value: self.standing(id, at) };
        Some(Reading::of(pinned, id, standing))
    }

    pub(crate) fn keyring_facts(&self, at: u64) -> Option<KeyringFacts> {
        let question = identity::QueryKeyringByAddressRequest { keyring_addr: self.keyring.clone() };
        let reply: identity::QueryKeyringByAddressResponse =
            self.ask("/zrchain.identity.Query/KeyringByAddress", &question, at)?;
        reply.keyring.map(map::keyring)
    }

    fn owners(&self, workspace: &str, at: u64) -> Vec<String> {
        let question = identity::QueryWorkspaceByAddressRequest { workspace_addr: workspace.to_owned() };
        let reply: Option<identity::QueryWorkspaceByAddressResponse> =
            self.ask("/zrchain.identity.Query/WorkspaceByAddress", &question, at);
        reply.and_then(|reply| reply.workspace).map(|workspace| workspace.owners).unwrap_or_default()
    }

    /// All requests of a height, of any keyring, whatever their status.
    pub(crate) fn requests(&self, at: u64) -> impl Iterator<Item = Request> + '_ {
        let of_kind = move |kind| (1..).map_while(move |number| self.request(RequestId { kind, number }, at));
        of_kind(RequestKind::Key).chain(of_kind(RequestKind::Signature))
    }

    /// The open requests of our keyring at a height, parents and children included.
    pub(crate) fn open_requests(&mut self, at: u64) -> Vec<Request> {
        if let Some(known) = self.scans.get(&at) {
            return known.clone();
        }
        let mine = |request: &Request| match &request.ask {
            Ask::Key { keyring, .. } => *keyring == self.keyring,
            Ask::Signature { key, .. } => self.key(*key, at).is_some_and(|key| key.keyring == self.keyring),
            Ask::Group { keys, .. } => {
                keys.first().and_then(|key| self.key(*key, at)).is_some_and(|key| key.keyring == self.keyring)
            }
        };
        let open: Vec<Request> =
            self.requests(at).filter(|request| request.status.is_open() && mine(request)).collect();
        self.scans.insert(at, open.clone());
        while self.scans.len() > 32 {
            self.scans.pop_first();
        }
        open
    }

    /// From where the next scan may start: the lowest open request of each kind, or the first that is not there yet.
    pub(crate) fn low_water(&self, at: u64, open: &[Request]) -> LowWater {
        let lowest = |kind| {
            let mine = open.iter().map(|request| request.id).filter(|id| id.kind == kind).map(|id| id.number).min();
            mine.unwrap_or_else(|| {
                1 + (1..).take_while(|number| self.request(RequestId { kind, number: *number }, at).is_some()).count()
                    as u64
            })
        };
        LowWater { key: lowest(RequestKind::Key), signature: lowest(RequestKind::Signature) }
    }

    /// What judging a request needs, all of its creation height, as chain-client's shell reads it.
    pub(crate) fn sighting(
        &self,
        decree: &DecreeId,
        request: &Request,
        at: u64,
        absent: Option<u64>,
    ) -> Option<Sighting> {
        let (mut low, mut high) = (absent.unwrap_or(0), at);
        while high.saturating_sub(low) > 1 {
            let middle = low + (high - low) / 2;
            if self.request(request.id, middle).is_some() { high = middle } else { low = middle }
        }
        let created = high;
        let key = match &request.ask {
            Ask::Signature { key, .. } => self.key(*key, created),
            Ask::Key { .. } | Ask::Group { .. } => None,
        };
        let owners = key.as_ref().map(|key| self.owners(&key.workspace, created)).unwrap_or_default();
        let parent = request.parent.and_then(|parent| self.request(parent, at));
        let load = AnswerLoad::of(request, parent.as_ref(), &self.keyring_facts(at)?).ok()?;
        Some(Sighting {
            decree: decree.clone(),
            request: request.clone(),
            created: Height(created),
            key,
            creator_owns_workspace: owners.contains(&request.creator),
            load,
        })
    }

    pub(crate) fn broadcast(&mut self, bytes: &[u8]) -> Hint {
        let request = BroadcastTxRequest { tx_bytes: bytes.to_vec(), mode: BroadcastMode::Sync.into() };
        let reply = self.chain.broadcast(&request.encode_to_vec()).ok();
        let response = reply.and_then(|bytes| BroadcastTxResponse::decode(bytes.as_slice()).ok());
        match response.and_then(|reply| reply.tx_response) {
            Some(response) => hint(response),
            None => Hint::Unknown { reason: "no result".to_owned() },
        }
    }
}
