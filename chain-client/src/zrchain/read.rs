//! Single facts. A read with `at` is pinned to that height, at whichever node has it; one without is of the newest
//! state of the node that answers. Things that do not exist are `None`, not errors.

use prost::{Message as _, Name as _};
use tonic::Code;

use super::{DENOMINATION, ZrChain, map};
use crate::endpoint::{Node, ReadError, pinned};
use crate::name::{EndpointId, Height, RequestId, RequestKind};
use crate::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest};
use crate::proto::cosmos::bank::v1beta1::QueryBalanceRequest;
use crate::proto::cosmos::base::tendermint::v1beta1::{GetBlockByHeightRequest, GetLatestBlockRequest};
use crate::proto::zrchain::{identity, treasury};
use crate::proto::{cosmos::base::tendermint::v1beta1 as blocks, tendermint::types::BlockId};
use crate::reading::{AccountFacts, Block, ChainKey, KeyringFacts, Pinned, Reading, TreasuryFacts};
use crate::request::{Request, Standing};

impl ZrChain {
    /// The newest block, as the preferred endpoint has it. The state of that block may follow a moment later.
    ///
    /// # Errors
    /// When no endpoint answers, or all serve another chain.
    pub async fn head(&self) -> Result<Pinned<Block>, ReadError> {
        self.endpoints.compare_first(|node| self.shown_by(node)).await;
        self.endpoints.ask(|node| self.head_of(node)).await
    }

    /// The newest block of every endpoint, each asked once: how far behind one is, and whether all follow one chain.
    pub async fn survey(&self) -> Vec<(EndpointId, Result<Block, ReadError>)> {
        self.endpoints.compare_first(|node| self.shown_by(node)).await;
        self.endpoints.each(async |node| Ok(self.head_of(node).await?.value)).await
    }

    /// The block of a height, `None` when there is none.
    ///
    /// # Errors
    /// When no endpoint answers, or all serve another chain.
    pub async fn block(&self, height: Height) -> Result<Option<Pinned<Block>>, ReadError> {
        match self.endpoints.ask(async |node| self.block_at(node, height).await).await {
            Ok(block) => Ok(Some(block)),
            // So a node answers for a height above its own.
            Err(ReadError::Refused { code: Code::InvalidArgument, .. }) => Ok(None),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A request, `None` when the chain does not know it.
    ///
    /// # Errors
    /// When no endpoint answers for that height in the chain's form.
    pub async fn request(&self, id: RequestId, at: Option<Height>) -> Result<Pinned<Option<Request>>, ReadError> {
        self.endpoints.ask(|node| request(node, id, at)).await
    }

    /// What became of a request, at the newest state.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn standing(&self, id: RequestId) -> Result<Pinned<Standing>, ReadError> {
        self.endpoints.ask(|node| standing(node, id, None)).await
    }

    /// An account and a request, both read from one endpoint and pinned to one height.
    ///
    /// # Errors
    /// When no endpoint answers both for one height, or the account does not exist.
    pub async fn reading(&self, account: &str, id: RequestId) -> Result<Reading, ReadError> {
        self.endpoints.ask(async |node| reading(node, account, id).await).await
    }

    /// The same from every endpoint, each asked once: what all of them show can be believed more than what one does.
    pub async fn readings(&self, account: &str, id: RequestId) -> Vec<(EndpointId, Result<Reading, ReadError>)> {
        self.endpoints.each(async |node| reading(node, account, id).await).await
    }

    /// The height at which a request was made: the lowest at which the chain knows it.
    ///
    /// The caller vouches that it is not there at `absent` (0 on an archive node, or the height of a complete scan
    /// before it appeared) and is there at `present`; neither is read again. Takes about log2 of their distance reads.
    ///
    /// # Errors
    /// When a height between them cannot be read, for example because it was pruned.
    pub async fn creation_height(&self, id: RequestId, absent: Height, present: Height) -> Result<Height, ReadError> {
        let (mut low, mut high) = (absent.0, present.0);
        while high.saturating_sub(low) > 1 {
            let middle = low + (high - low) / 2;
            match self.request(id, Some(Height(middle))).await?.value {
                Some(_) => high = middle,
                None => low = middle,
            }
        }
        Ok(Height(high))
    }

    /// A key, `None` when the chain has none of that id.
    ///
    /// # Errors
    /// When no endpoint answers for that height in the chain's form.
    pub async fn key(&self, id: u64, at: Option<Height>) -> Result<Pinned<Option<ChainKey>>, ReadError> {
        self.endpoints.ask(|node| key(node, id, at)).await
    }

    /// The owners of a workspace, `None` when there is no such workspace.
    ///
    /// # Errors
    /// When no endpoint answers for that height in the chain's form.
    pub async fn workspace_owners(
        &self,
        address: &str,
        at: Option<Height>,
    ) -> Result<Pinned<Option<Vec<String>>>, ReadError> {
        let ask = async |node: &Node| {
            let question = identity::QueryWorkspaceByAddressRequest { workspace_addr: address.to_owned() };
            let mut client = node.identity();
            let reply = node.find(at, client.workspace_by_address(pinned(question, at))).await?;
            Ok(reply.map(|reply| reply.and_then(|reply| reply.workspace).map(|workspace| workspace.owners)))
        };
        self.endpoints.ask(ask).await
    }

    /// Our keyring, `None` when the chain has none of that address.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn keyring(&self) -> Result<Pinned<Option<KeyringFacts>>, ReadError> {
        let ask = async |node: &Node| {
            let question = identity::QueryKeyringByAddressRequest { keyring_addr: self.keyring.clone() };
            let mut client = node.identity();
            let reply = node.find(None, client.keyring_by_address(question)).await?;
            Ok(reply.map(|reply| reply.and_then(|reply| reply.keyring).map(map::keyring)))
        };
        self.endpoints.ask(ask).await
    }

    /// The chain's parameters that concern a keyring.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn treasury(&self) -> Result<Pinned<TreasuryFacts>, ReadError> {
        let ask = async |node: &Node| {
            let mut client = node.treasury();
            let reply = node.read(None, client.params(treasury::QueryParamsRequest {})).await?;
            let Some(params) = reply.value.params.clone() else {
                return Err(node.malformed("treasury parameters are missing"));
            };
            Ok(reply.map(|_| map::treasury(params)))
        };
        self.endpoints.ask(ask).await
    }

    /// An account's number and sequence, `None` before it was first funded.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn account(&self, address: &str) -> Result<Pinned<Option<AccountFacts>>, ReadError> {
        self.endpoints.ask(|node| account_facts(node, address, None)).await
    }

    /// What an account holds, in urock.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn balance(&self, address: &str) -> Result<Pinned<u128>, ReadError> {
        let ask = async |node: &Node| {
            let question = QueryBalanceRequest { address: address.to_owned(), denom: DENOMINATION.into() };
            let mut client = node.bank();
            let reply = node.read(None, client.balance(question)).await?;
            let amount = match &reply.value.balance {
                None => 0,
                Some(coin) => coin.amount.parse().map_err(|_| node.malformed("balance is no number"))?,
            };
            Ok(reply.map(|_| amount))
        };
        self.endpoints.ask(ask).await
    }

    /// The block of a height, as one node has it.
    pub(super) async fn block_at(&self, node: &Node, at: Height) -> Result<Pinned<Block>, ReadError> {
        let height = i64::try_from(at.0).map_err(|_| node.malformed("height above 2^63"))?;
        let mut client = node.blocks();
        let reply = node.reply(client.get_block_by_height(GetBlockByHeightRequest { height })).await?.into_inner();
        let block = self.block_of(node, reply.block_id, reply.sdk_block)?;
        if block.height == at {
            return Ok(block);
        }
        Err(node.malformed(format!("asked for block {at}, got block {}", block.height)))
    }

    /// The newest block of a node, if it is one that the chain can have by now.
    pub(super) async fn head_of(&self, node: &Node) -> Result<Pinned<Block>, ReadError> {
        let block = self.shown_by(node).await?;
        node.saw_head(&block)?;
        Ok(Pinned { endpoint: node.id(), height: block.height, value: block })
    }

    /// What a node shows as its newest block, true or not.
    async fn shown_by(&self, node: &Node) -> Result<Block, ReadError> {
        let mut client = node.blocks();
        let reply = node.reply(client.get_latest_block(GetLatestBlockRequest {})).await?.into_inner();
        Ok(self.block_of(node, reply.block_id, reply.sdk_block)?.value)
    }

    fn block_of(
        &self,
        node: &Node,
        id: Option<BlockId>,
        block: Option<blocks::Block>,
    ) -> Result<Pinned<Block>, ReadError> {
        let (Some(id), Some(header)) = (id, block.and_then(|block| block.header)) else {
            return Err(node.malformed("block without id or header"));
        };
        node.is_of(self.id(), &header)?;
        let hash = id.hash.try_into().map_err(|_| node.malformed("block hash is not 32 bytes"))?;
        let height = u64::try_from(header.height).map_err(|_| node.malformed("negative block height"))?;
        let time = header.time.unwrap_or_default();
        let time_unix_ms = time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000);
        let height = Height(height);
        Ok(Pinned { endpoint: node.id(), height, value: Block { height, hash, time_unix_ms } })
    }
}

/// An account and a request, of one node and height.
async fn reading(node: &Node, account: &str, id: RequestId) -> Result<Reading, ReadError> {
    let found = account_facts(node, account, None).await?;
    let height = found.height;
    let Some(facts) = found.value else {
        let reason = format!("account {account} does not exist: it must be sent funds once");
        let height = Some(height);
        return Err(ReadError::Refused { endpoint: node.name().into(), code: Code::NotFound, reason, height });
    };
    let standing = standing(node, id, Some(height)).await?;
    let account = Pinned { endpoint: found.endpoint, height, value: facts };
    Reading::of(account, id, standing).map_err(|mixed| node.malformed(mixed.to_string()))
}

pub(super) async fn request(
    node: &Node,
    id: RequestId,
    at: Option<Height>,
) -> Result<Pinned<Option<Request>>, ReadError> {
    let mut client = node.treasury();
    let found = match id.kind {
        RequestKind::Key => {
            let question = pinned(treasury::QueryKeyRequestByIdRequest { id: id.number }, at);
            node.find(at, client.key_request_by_id(question))
                .await?
                .map(|reply| reply.and_then(|reply| reply.key_request).map(map::key_request).transpose())
        }
        RequestKind::Signature => {
            let question = pinned(treasury::QuerySignatureRequestByIdRequest { id: id.number }, at);
            node.find(at, client.signature_request_by_id(question))
                .await?
                .map(|reply| reply.and_then(|reply| reply.sign_request).map(map::signature_request).transpose())
        }
    };
    let Pinned { endpoint, height, value } = found;
    let value = value.map_err(|unknown| node.malformed(format!("request {id}: {unknown}")))?;
    if value.as_ref().is_some_and(|request| request.id != id) {
        return Err(node.malformed(format!("asked for request {id}, got another")));
    }
    Ok(Pinned { endpoint, height, value })
}

async fn key(node: &Node, id: u64, at: Option<Height>) -> Result<Pinned<Option<ChainKey>>, ReadError> {
    let question = treasury::QueryKeyByIdRequest { id, ..Default::default() };
    let mut client = node.treasury();
    let Pinned { endpoint, height, value } = node.find(at, client.key_by_id(pinned(question, at))).await?;
    let value = value
        .and_then(|reply| reply.key)
        .map(map::key)
        .transpose()
        .map_err(|unknown| node.malformed(format!("key {id}: {unknown}")))?;
    Ok(Pinned { endpoint, height, value })
}

/// Reads a request and, where a key request is closed, the key record under its id; all of one height.
async fn standing(node: &Node, id: RequestId, at: Option<Height>) -> Result<Pinned<Standing>, ReadError> {
    let found = request(node, id, at).await?;
    let (endpoint, height) = (found.endpoint, found.height);
    let value = match found.value {
        None => Standing::Gone,
        Some(request) if id.kind == RequestKind::Key && !request.status.is_open() => {
            let key = key(node, id.number, Some(height)).await?;
            map::standing(request, key.value)
        }
        Some(request) => map::standing(request, None),
    };
    Ok(Pinned { endpoint, height, value })
}

async fn account_facts(
    node: &Node,
    address: &str,
    at: Option<Height>,
) -> Result<Pinned<Option<AccountFacts>>, ReadError> {
    let question = QueryAccountRequest { address: address.to_owned() };
    let mut client = node.auth();
    let Pinned { endpoint, height, value } = node.find(at, client.account(pinned(question, at))).await?;
    let Some(any) = value.and_then(|reply| reply.account) else {
        return Ok(Pinned { endpoint, height, value: None });
    };
    if any.type_url != BaseAccount::type_url() {
        return Err(node.malformed(format!("account {address} is no plain account")));
    }
    let account = BaseAccount::decode(any.value.as_slice())
        .map_err(|_| node.malformed(format!("account {address} cannot be decoded")))?;
    if account.address != address {
        return Err(node.malformed(format!("asked for account {address}, got another")));
    }
    let facts = AccountFacts { number: account.account_number, sequence: account.sequence };
    Ok(Pinned { endpoint, height, value: Some(facts) })
}
