//! The policy module: a message waits as an action until its policy says yes.
//!
//! Policy 0 is "any owner" and is satisfied by the sender, so the common case is one transaction. An explicit policy is
//! a boolean expression over its participants; until it holds, the transaction succeeds and creates nothing.

mod boolean;

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{
    MsgAddWorkspaceOwner, MsgAppendChildWorkspace, MsgNewChildWorkspace, MsgRemoveWorkspaceOwner, MsgUpdateWorkspace,
    Workspace,
};
use chain_client::proto::zrchain::policy::{
    Action, ActionStatus, BoolparserPolicy, KeyValue, MsgApproveAction, MsgApproveActionResponse, MsgNewPolicy,
    MsgNewPolicyResponse, MsgRevokeAction, MsgRevokeActionResponse, Policy,
};
use chain_client::proto::zrchain::treasury::{
    MsgNewKeyRequest, MsgNewSignTransactionRequest, MsgNewSignatureRequest, MsgUpdateKeyPolicy,
};
use prost::{Message, Name};
use prost_types::Any;

use super::address::Address;
use super::context::Context;
use super::event::Event;
use super::fault::TxFault;
use super::identity::workspace;
use super::treasury;

/// What the execution of an action made; all zero while it waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Key, signature or sign-transaction request.
    pub(crate) request_id: u64,
    /// The signature request behind a sign-transaction request.
    pub(crate) sign_request_id: u64,
    /// Address of a new child workspace.
    pub(crate) child: Option<String>,
}

/// A message on its way to becoming an action.
pub(crate) struct Proposal {
    pub(crate) msg: Any,
    pub(crate) creator: String,
    /// The workspace that decides.
    pub(crate) workspace: String,
    pub(crate) policy_id: u64,
    pub(crate) btl: u64,
    pub(crate) data: Vec<KeyValue>,
}

impl Proposal {
    /// A change of a workspace, under its admin policy. Handlers have checked that the creator is an owner.
    pub(crate) fn change(workspace: &Workspace, msg: Any, btl: u64) -> Self {
        // Every workspace message carries its creator in field 1, and the handler has matched it with an owner.
        let creator = CreatorOnly::decode(msg.value.as_slice()).map(|only| only.creator).unwrap_or_default();
        Self {
            msg,
            creator,
            workspace: workspace.address.clone(),
            policy_id: workspace.admin_policy_id,
            btl,
            data: Vec::new(),
        }
    }
}

/// The first field of every message of the chain.
#[derive(Clone, PartialEq, Message)]
struct CreatorOnly {
    #[prost(string, tag = "1")]
    creator: String,
}

pub(crate) fn propose_and_settle(context: &mut Context<'_>, proposal: Proposal) -> Result<Outcome, TxFault> {
    let action = propose(context, proposal)?;
    settle(context, action)
}

/// Stores a new action with its creator's approval.
pub(crate) fn propose(context: &mut Context<'_>, proposal: Proposal) -> Result<Action, TxFault> {
    let workspace = workspace::find(context, &proposal.workspace)?;
    // The module's parameters.
    context.meter.read(6)?;
    if !workspace.owners.contains(&proposal.creator) {
        return Err(TxFault::plain(format!("creator {} is not an owner of this workspace", proposal.creator)));
    }
    let policy = found(context, proposal.policy_id)?;
    let life = match (proposal.btl, policy.as_ref().map_or(0, |policy| policy.btl)) {
        (0, 0) => context.rules.policy.default_btl,
        (0, of_policy) => of_policy.max(context.rules.policy.minimum_btl),
        (of_message, _) => of_message.max(context.rules.policy.minimum_btl),
    };
    let participants = match &policy {
        Some(policy) => addresses(&expression(policy)?),
        None => {
            // "Any owner" is worked out from the workspace, twice more.
            workspace::find(context, &proposal.workspace)?;
            workspace::find(context, &proposal.workspace)?.owners.clone()
        }
    };
    let approvers = if participants.contains(&proposal.creator) { vec![proposal.creator.clone()] } else { Vec::new() };
    let id = context.next_number(|state| &mut state.counters.actions)?;
    let action = Action {
        id,
        approvers,
        status: ActionStatus::Pending.into(),
        policy_id: proposal.policy_id,
        msg: Some(proposal.msg),
        creator: proposal.creator,
        btl: context.height.saturating_add(life),
        policy_data: proposal.data,
    };
    context.put_action(action.clone())?;
    Ok(action)
}

/// Runs the action if its policy holds; otherwise tells its participants.
pub(crate) fn settle(context: &mut Context<'_>, mut action: Action) -> Result<Outcome, TxFault> {
    let policy = found(context, action.policy_id)?;
    if let Some(policy) = policy {
        let rule = expression(&policy)?;
        if !satisfied(&rule, &action)? {
            for participant in addresses(&rule) {
                let attributes = [("action_id", action.id.to_string()), ("participant_addr", participant)];
                let attributes: Vec<_> = attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
                context.raise(Event::new("new_action", &attributes));
            }
            return Ok(Outcome::default());
        }
    }
    action.status = ActionStatus::Completed.into();
    context.put_action(action.clone())?;
    execute(context, &action)
}

fn execute(context: &mut Context<'_>, action: &Action) -> Result<Outcome, TxFault> {
    let message = action.msg.as_ref().ok_or_else(|| TxFault::plain("action without message"))?;
    fn of<M: Message + Name + Default>(any: &Any) -> Option<Result<M, TxFault>> {
        (any.type_url == M::type_url()).then(|| M::decode(any.value.as_slice()).map_err(TxFault::undecodable))
    }
    let none = |()| Outcome::default();
    if let Some(message) = of::<MsgNewKeyRequest>(message) {
        return treasury::key_request::execute(context, &message?);
    }
    if let Some(message) = of::<MsgNewSignatureRequest>(message) {
        return treasury::sign_request::execute(context, &message?);
    }
    if let Some(message) = of::<MsgNewSignTransactionRequest>(message) {
        return treasury::sign_transaction::execute(context, &message?, &action.policy_data);
    }
    if let Some(message) = of::<MsgUpdateKeyPolicy>(message) {
        return treasury::key_policy_updated(context, &message?).map(none);
    }
    if let Some(message) = of::<MsgAddWorkspaceOwner>(message) {
        return workspace::owner_added(context, &message?).map(none);
    }
    if let Some(message) = of::<MsgRemoveWorkspaceOwner>(message) {
        return workspace::owner_removed(context, &message?).map(none);
    }
    if let Some(message) = of::<MsgUpdateWorkspace>(message) {
        return workspace::updated(context, &message?).map(none);
    }
    if let Some(message) = of::<MsgAppendChildWorkspace>(message) {
        return workspace::child_appended(context, &message?).map(none);
    }
    if let Some(message) = of::<MsgNewChildWorkspace>(message) {
        let child = workspace::child_made(context, &message?)?;
        return Ok(Outcome { child: Some(child), ..Outcome::default() });
    }
    Err(TxFault::plain(format!("action handler not found for {}", message.type_url)))
}

fn found(context: &mut Context<'_>, id: u64) -> Result<Option<Arc<Policy>>, TxFault> {
    if id == 0 {
        return Ok(None);
    }
    context.policy(id)?.map(Some).ok_or_else(|| TxFault::plain(format!("policy not found: {id}")))
}

fn expression(policy: &Policy) -> Result<BoolparserPolicy, TxFault> {
    unpack(policy.policy.as_ref())
}

fn unpack(any: Option<&Any>) -> Result<BoolparserPolicy, TxFault> {
    let any = any.ok_or_else(|| TxFault::plain("policy is empty"))?;
    if any.type_url != BoolparserPolicy::type_url() {
        return Err(TxFault::plain(format!("unsupported policy {}", any.type_url)));
    }
    BoolparserPolicy::decode(any.value.as_slice()).map_err(|error| TxFault::plain(error.to_string()))
}

fn addresses(rule: &BoolparserPolicy) -> Vec<String> {
    rule.participants.iter().map(|one| one.address.clone()).collect()
}

fn satisfied(rule: &BoolparserPolicy, action: &Action) -> Result<bool, TxFault> {
    let value = |word: &str| {
        if rule.participants.iter().any(|one| one.address == word) {
            return Some(u128::from(action.approvers.iter().any(|approver| approver == word)));
        }
        let data = action.policy_data.iter().find(|data| data.key == word)?;
        std::str::from_utf8(&data.value).ok()?.parse().ok()
    };
    boolean::holds(&rule.definition, &value).map_err(TxFault::plain)
}

/// Are all participants of a policy among the owners? Policy 0 has none.
pub(crate) fn require_participants_own(context: &mut Context<'_>, id: u64, owners: &[String]) -> Result<(), TxFault> {
    let Some(policy) = found(context, id)? else { return Ok(()) };
    match addresses(&expression(&policy)?).into_iter().find(|one| !owners.contains(one)) {
        Some(stranger) => {
            Err(TxFault::plain(format!("policy participant {stranger} is not an owner of the workspace")))
        }
        None => Ok(()),
    }
}

pub(crate) fn new_policy(context: &mut Context<'_>, message: &MsgNewPolicy) -> Result<MsgNewPolicyResponse, TxFault> {
    let rule = unpack(message.policy.as_ref())?;
    let participants = addresses(&rule);
    for participant in &participants {
        Address::parse(participant).map_err(TxFault::invalid_address)?;
    }
    boolean::check(&rule.definition, &participants).map_err(TxFault::plain)?;
    let id = context.next_number(|state| &mut state.counters.policies)?;
    let policy = Policy {
        creator: message.creator.clone(),
        id,
        name: message.name.clone(),
        policy: message.policy.clone(),
        btl: message.btl,
    };
    context.put_policy(policy)?;
    Ok(MsgNewPolicyResponse { id })
}

pub(crate) fn approve(
    context: &mut Context<'_>,
    message: &MsgApproveAction,
) -> Result<MsgApproveActionResponse, TxFault> {
    let action = context.action(message.action_id)?;
    let action = action.ok_or_else(|| TxFault::plain(format!("action not found: {}", message.action_id)))?;
    let mut action = Arc::unwrap_or_clone(action);
    if action.status() != ActionStatus::Pending {
        return Err(TxFault::plain(format!("action {} is not pending: {}", action.id, action.status().as_str_name())));
    }
    if action.msg.as_ref().is_none_or(|any| any.type_url != message.action_type) {
        return Err(TxFault::plain(format!("action {} is not of type {}", action.id, message.action_type)));
    }
    if action.btl < context.height {
        action.status = ActionStatus::Timeout.into();
        context.put_action(action)?;
        return Ok(MsgApproveActionResponse { status: ActionStatus::Timeout.as_str_name().to_owned() });
    }
    if let Some(policy) = found(context, action.policy_id)?
        && !addresses(&expression(&policy)?).contains(&message.creator)
    {
        return Err(TxFault::plain(format!("{} is not a participant of the policy", message.creator)));
    }
    if action.approvers.contains(&message.creator) {
        return Err(TxFault::plain(format!("{} has already approved", message.creator)));
    }
    let id = action.id;
    action.approvers.push(message.creator.clone());
    context.put_action(action.clone())?;
    settle(context, action)?;
    let status = context.action(id)?.map_or(ActionStatus::Unspecified, |action| action.status());
    Ok(MsgApproveActionResponse { status: status.as_str_name().to_owned() })
}

pub(crate) fn revoke(context: &mut Context<'_>, message: &MsgRevokeAction) -> Result<MsgRevokeActionResponse, TxFault> {
    let action = context.action(message.action_id)?;
    let action = action.ok_or_else(|| TxFault::plain(format!("action not found: {}", message.action_id)))?;
    let mut action = Arc::unwrap_or_clone(action);
    if action.creator != message.creator {
        return Err(TxFault::plain(format!("action {} was not created by {}", action.id, message.creator)));
    }
    if action.status() != ActionStatus::Pending {
        return Err(TxFault::plain(format!("action {} is not pending: {}", action.id, action.status().as_str_name())));
    }
    action.status = ActionStatus::Revoked.into();
    context.put_action(action)?;
    Ok(MsgRevokeActionResponse {})
}
