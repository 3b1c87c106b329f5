//! The keyring's administrator: makes the keyring, lists its parties, gives their accounts something to pay fees with.

use std::sync::Arc;

use chain_client::proto::cosmos::bank::v1beta1::MsgSend;
use chain_client::proto::zrchain::identity::{
    MsgAddKeyringParty, MsgNewKeyring, MsgNewKeyringResponse, MsgUpdateKeyring,
};
use chain_client::tx::{any, urock};
use chain_client::{PartyAccount, ZrChain};

use super::sender::{Letter, Sender};
use super::{DemoError, connect};

const GAS: u64 = 250_000;

/// What a new keyring is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKeyring {
    /// Any text, at most 255 bytes.
    pub description: String,
    /// Equal answers that fulfil a request.
    pub party_threshold: u32,
    /// urock for a key: escrowed from who asks, and paid by each party that answers.
    pub key_fee_urock: u64,
    /// urock for a signature, likewise.
    pub signature_fee_urock: u64,
}

/// See the module.
pub struct Admin {
    sender: Sender,
}

impl Admin {
    /// Signs in at a chain's gRPC address, `http://host:port`.
    ///
    /// # Errors
    /// When the chain cannot be read, or the account has no funds.
    pub async fn connect(grpc: &str, chain: &str, account: PartyAccount) -> Result<Self, DemoError> {
        // No keyring is there yet; an administrator asks nothing about one.
        let (chain, _) = connect(grpc, chain, "")?;
        Self::with(Arc::new(chain), account).await
    }

    async fn with(chain: Arc<ZrChain>, account: PartyAccount) -> Result<Self, DemoError> {
        Ok(Self { sender: Sender::new(chain, account).await? })
    }

    /// Makes a keyring that wants `threshold` equal answers from these party accounts; gives its address.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn make_keyring(&mut self, parties: &[String], threshold: u32) -> Result<String, DemoError> {
        let new = NewKeyring {
            description: "development keyring".to_owned(),
            party_threshold: threshold,
            ..NewKeyring::default()
        };
        let keyring = self.new_keyring(&new).await?;
        self.add_parties(&keyring, parties).await?;
        Ok(keyring)
    }

    /// Makes a keyring without parties; gives its address. Costs what the chain asks for that.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn new_keyring(&mut self, new: &NewKeyring) -> Result<String, DemoError> {
        let message = MsgNewKeyring {
            creator: self.sender.address().to_owned(),
            description: new.description.clone(),
            party_threshold: new.party_threshold,
            key_req_fee: new.key_fee_urock,
            sig_req_fee: new.signature_fee_urock,
            delegate_fees: false,
        };
        let made = self.send(vec![("new keyring".to_owned(), any(&message))]).await?;
        let response = made.first().map(super::sender::Delivery::response::<MsgNewKeyringResponse>).transpose()?;
        let keyring = response.map(|made| made.addr).unwrap_or_default();
        if keyring.is_empty() {
            return Err(DemoError::Reply { what: "response", why: "new keyring has no address".to_owned() });
        }
        Ok(keyring)
    }

    /// Lists accounts as parties of a keyring of which this account is an administrator.
    ///
    /// # Errors
    /// When the chain refuses one: those before it stand.
    pub async fn add_parties(&mut self, keyring: &str, parties: &[String]) -> Result<(), DemoError> {
        let creator = self.sender.address().to_owned();
        let add = |party: &String| {
            let message = MsgAddKeyringParty {
                creator: creator.clone(),
                keyring_addr: keyring.to_owned(),
                party: party.clone(),
                // The threshold was named when the keyring was made.
                increase_threshold: false,
            };
            (format!("keyring party {party}"), any(&message))
        };
        self.send(parties.iter().map(add).collect()).await?;
        Ok(())
    }

    /// Sends every account this many urock.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn fund(&mut self, accounts: &[String], amount_urock: u128) -> Result<(), DemoError> {
        let from = self.sender.address().to_owned();
        let send = |account: &String| {
            let (from_address, to_address) = (from.clone(), account.clone());
            let message = MsgSend { from_address, to_address, amount: vec![urock(amount_urock)] };
            (format!("transfer to {account}"), any(&message))
        };
        self.send(accounts.iter().map(send).collect()).await?;
        Ok(())
    }

    /// Switches a keyring of this administrator on or off. While it is off, every answer rejects its request.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn set_active(&mut self, keyring: &str, threshold: u32, is_active: bool) -> Result<(), DemoError> {
        let message = MsgUpdateKeyring {
            creator: self.sender.address().to_owned(),
            keyring_addr: keyring.to_owned(),
            party_threshold: threshold,
            description: "development keyring".to_owned(),
            is_active,
            ..Default::default()
        };
        self.send(vec![("keyring update".to_owned(), any(&message))]).await?;
        Ok(())
    }

    async fn send(
        &mut self,
        messages: Vec<(String, prost_types::Any)>,
    ) -> Result<Vec<super::sender::Delivery>, DemoError> {
        let letters = messages.into_iter().map(|(what, message)| Letter { what, message, gas: GAS });
        self.sender.send(letters.collect()).await
    }
}
