//! Messages: what a transaction can ask, told apart by type URL, and the checks that need no state.

use chain_client::proto::cosmos::bank::v1beta1::MsgSend;
use chain_client::proto::zrchain::{identity, policy, treasury, zenbtc};
use prost::{Message as _, Name};
use prost_types::Any;

use super::address::Address;
use super::context::Context;
use super::fault::TxFault;
use super::{bank, identity as identities, policy as policies, treasury as treasuries};

/// Longest reason of a signature's rejection, bytes.
const REJECT_REASON_BYTES: usize = 512;

/// Declares the messages once: variant, type, field that names the signer, handler.
macro_rules! messages {
    ($($variant:ident, $message:ty, $signer:ident, $handler:expr;)*) => {
        /// A decoded message.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Msg { $($variant(Box<$message>),)* }

        impl Msg {
            /// Decodes a message that this chain knows.
            pub(crate) fn decode(any: &Any) -> Result<Self, TxFault> {
                $(if any.type_url == <$message>::type_url() {
                    let message = <$message>::decode(any.value.as_slice()).map_err(TxFault::undecodable)?;
                    return Ok(Self::$variant(Box::new(message)));
                })*
                Err(TxFault::undecodable(format!("unable to resolve type URL {}", any.type_url)))
            }

            /// The account that must sign.
            pub(crate) fn signer(&self) -> &str {
                match self { $(Self::$variant(message) => &message.$signer,)* }
            }

            /// Runs the message; the response as the transaction's result carries it.
            pub(crate) fn execute(&self, context: &mut Context<'_>) -> Result<Any, TxFault> {
                match self { $(Self::$variant(message) => {
                    let handler = $handler;
                    handler(context, message.as_ref()).map(|response| packed(&response))
                })* }
            }
        }
    };
}

messages! {
    Send, MsgSend, from_address, bank::send;
    NewKeyring, identity::MsgNewKeyring, creator, identities::keyring::new;
    AddKeyringParty, identity::MsgAddKeyringParty, creator, identities::keyring::add_party;
    RemoveKeyringParty, identity::MsgRemoveKeyringParty, creator, identities::keyring::remove_party;
    UpdateKeyring, identity::MsgUpdateKeyring, creator, identities::keyring::update;
    DeactivateKeyring, identity::MsgDeactivateKeyring, creator, identities::keyring::deactivate;
    AddKeyringAdmin, identity::MsgAddKeyringAdmin, creator, identities::keyring::add_admin;
    RemoveKeyringAdmin, identity::MsgRemoveKeyringAdmin, creator, identities::keyring::remove_admin;
    NewWorkspace, identity::MsgNewWorkspace, creator, identities::workspace::new;
    AddWorkspaceOwner, identity::MsgAddWorkspaceOwner, creator, identities::workspace::add_owner;
    RemoveWorkspaceOwner, identity::MsgRemoveWorkspaceOwner, creator, identities::workspace::remove_owner;
    UpdateWorkspace, identity::MsgUpdateWorkspace, creator, identities::workspace::update;
    NewChildWorkspace, identity::MsgNewChildWorkspace, creator, identities::workspace::new_child;
    AppendChildWorkspace, identity::MsgAppendChildWorkspace, creator, identities::workspace::append_child;
    NewPolicy, policy::MsgNewPolicy, creator, policies::new_policy;
    ApproveAction, policy::MsgApproveAction, creator, policies::approve;
    RevokeAction, policy::MsgRevokeAction, creator, policies::revoke;
    NewKeyRequest, treasury::MsgNewKeyRequest, creator, treasuries::key_request::new;
    FulfilKeyRequest, treasury::MsgFulfilKeyRequest, creator, treasuries::fulfil_key::fulfil;
    NewSignatureRequest, treasury::MsgNewSignatureRequest, creator, treasuries::sign_request::new;
    FulfilSignatureRequest, treasury::MsgFulfilSignatureRequest, creator, treasuries::fulfil_signature::fulfil;
    NewSignTransactionRequest, treasury::MsgNewSignTransactionRequest, creator, treasuries::sign_transaction::new;
    NewZrSignSignatureRequest, treasury::MsgNewZrSignSignatureRequest, creator, treasuries::zrsign::new_signature;
    FulfilIcaTransactionRequest, treasury::MsgFulfilIcaTransactionRequest, creator, treasuries::interchain::fulfil;
    TransferFromKeyring, treasury::MsgTransferFromKeyring, creator, treasuries::transfer_from_keyring;
    UpdateKeyPolicy, treasury::MsgUpdateKeyPolicy, creator, treasuries::update_key_policy;
    SubmitRedemption, zenbtc::MsgSubmitUnsignedRedemptionTx, creator, treasuries::redemption::submit;
}

impl Msg {
    /// What can be refused before any state is read.
    pub(crate) fn validate_basic(&self) -> Result<(), TxFault> {
        Address::parse(self.signer())
            .map_err(|why| TxFault::invalid_address(format!("invalid creator address ({why})")))?;
        match self {
            Self::FulfilSignatureRequest(message) if message.reject_reason.len() > REJECT_REASON_BYTES => {
                Err(TxFault::invalid_request(format!("invalid reject reason, max len is {REJECT_REASON_BYTES}")))
            }
            _ => Ok(()),
        }
    }
}

/// A message with its type URL, as the SDK packs it: `/` and the full name.
pub(crate) fn packed<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}
