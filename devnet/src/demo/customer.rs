//! Single requests by hand: a workspace, a key, signatures of given bytes. [`super::User`] does all of it and verifies.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{MsgNewWorkspace, MsgNewWorkspaceResponse};
use chain_client::tx::any;
use chain_client::{KeyType, PartyAccount, RequestId, ZrChain};

use super::order::{Order, UserKey};
use super::sender::{Delivery, Letter, Sender};
use super::{DemoError, connect};

const GAS: u64 = 250_000;

/// See the module.
pub struct Customer {
    chain: Arc<ZrChain>,
    sender: Sender,
}

impl Customer {
    /// Signs in at a chain's gRPC address, `http://host:port`.
    ///
    /// # Errors
    /// When the chain cannot be read, or the account has no funds.
    pub async fn connect(grpc: &str, chain: &str, keyring: &str, account: PartyAccount) -> Result<Self, DemoError> {
        let (chain, _) = connect(grpc, chain, keyring)?;
        let chain = Arc::new(chain);
        Ok(Self { sender: Sender::new(Arc::clone(&chain), account).await?, chain })
    }

    /// Makes a workspace; gives its address.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn new_workspace(&mut self) -> Result<String, DemoError> {
        let message = MsgNewWorkspace { creator: self.sender.address().to_owned(), ..Default::default() };
        let letter = Letter { what: "new workspace".to_owned(), message: any(&message), gas: GAS };
        let made = self.sender.send(vec![letter]).await?;
        let response = made.first().map(Delivery::response::<MsgNewWorkspaceResponse>).transpose()?;
        let workspace = response.map(|made| made.addr).unwrap_or_default();
        if workspace.is_empty() {
            return Err(DemoError::Reply { what: "response", why: "new workspace has no address".to_owned() });
        }
        Ok(workspace)
    }

    /// Asks the keyring for a key in a workspace of this account.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn ask_key(&mut self, workspace: &str, key_type: KeyType) -> Result<RequestId, DemoError> {
        self.ask(&Order::Key(key_type), workspace).await
    }

    /// Asks for signatures by a key of this account: of digests of 32 bytes, or of messages for an Ed25519 key.
    ///
    /// # Errors
    /// When the chain refuses, or knows no such key.
    pub async fn ask_signatures(&mut self, key: u64, payloads: Vec<Vec<u8>>) -> Result<RequestId, DemoError> {
        let found = self.chain.key(key, None).await?.value;
        let found =
            found.ok_or_else(|| DemoError::Reply { what: "key", why: format!("the chain has no key {key}") })?;
        let key = UserKey { id: key, key_type: found.key_type, public_key: found.public_key, wallets: Vec::new() };
        self.ask(&Order::Raw { key, payloads }, &found.workspace).await
    }

    async fn ask(&mut self, order: &Order, workspace: &str) -> Result<RequestId, DemoError> {
        let letter = order.letter(self.sender.address(), workspace, self.chain.keyring_address())?;
        let delivered = self.sender.send(vec![letter]).await?;
        let missing = || DemoError::Reply { what: "response", why: "none".to_owned() };
        Ok(order.filed(delivered.first().ok_or_else(missing)?)?.request)
    }
}
