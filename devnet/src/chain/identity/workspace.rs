//! Workspaces: owners, children, policies. Changes pass the workspace's admin policy.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{
    MsgAddWorkspaceOwner, MsgAddWorkspaceOwnerResponse, MsgAppendChildWorkspace, MsgAppendChildWorkspaceResponse,
    MsgNewChildWorkspace, MsgNewChildWorkspaceResponse, MsgNewWorkspace, MsgNewWorkspaceResponse,
    MsgRemoveWorkspaceOwner, MsgRemoveWorkspaceOwnerResponse, MsgUpdateWorkspace, MsgUpdateWorkspaceResponse,
    Workspace,
};

use super::{invalid, not_found};
use crate::chain::address::{self, Address};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;
use crate::chain::message::packed;
use crate::chain::policy::{self, Proposal};

pub(crate) fn new(context: &mut Context<'_>, message: &MsgNewWorkspace) -> Result<MsgNewWorkspaceResponse, TxFault> {
    let mut owners = vec![message.creator.clone()];
    for owner in &message.additional_owners {
        Address::parse(owner).map_err(TxFault::invalid_address)?;
        if owners.contains(owner) {
            return Err(invalid(format!("owner {owner} is listed twice")));
        }
        owners.push(owner.clone());
    }
    for id in [message.admin_policy_id, message.sign_policy_id] {
        policy::require_participants_own(context, id, &owners)?;
    }
    let workspace = Workspace {
        creator: message.creator.clone(),
        owners,
        admin_policy_id: message.admin_policy_id,
        sign_policy_id: message.sign_policy_id,
        ..Workspace::default()
    };
    let addr = create(context, workspace)?;
    context.raise(Event::new("new_workspace", &[("workspace_addr", &addr)]));
    Ok(MsgNewWorkspaceResponse { addr })
}

/// Stores a new workspace under the next address. Only the message of that name raises an event.
pub(crate) fn create(context: &mut Context<'_>, mut workspace: Workspace) -> Result<String, TxFault> {
    let number = context.next_number(|state| &mut state.counters.workspaces)?;
    workspace.address = address::workspace_of(number);
    let address = workspace.address.clone();
    context.put_workspace(workspace)?;
    Ok(address)
}

pub(crate) fn find(context: &mut Context<'_>, address: &str) -> Result<Arc<Workspace>, TxFault> {
    context.workspace(address)?.ok_or_else(|| not_found(&format!("workspace {address}")))
}

/// The workspace, if `creator` owns it.
fn owned(context: &mut Context<'_>, address: &str, creator: &str) -> Result<Workspace, TxFault> {
    let workspace = find(context, address)?;
    if !workspace.owners.iter().any(|owner| owner == creator) {
        return Err(invalid(format!("creator {creator} is not an owner of the workspace {address}")));
    }
    Ok(Arc::unwrap_or_clone(workspace))
}

pub(crate) fn add_owner(
    context: &mut Context<'_>,
    message: &MsgAddWorkspaceOwner,
) -> Result<MsgAddWorkspaceOwnerResponse, TxFault> {
    Address::parse(&message.new_owner).map_err(TxFault::invalid_address)?;
    let workspace = owned(context, &message.workspace_addr, &message.creator)?;
    if workspace.owners.contains(&message.new_owner) {
        return Err(invalid(format!("{} is already an owner of the workspace", message.new_owner)));
    }
    let proposal = Proposal::change(&workspace, packed(message), message.btl);
    let action = policy::propose(context, proposal)?;
    context.raise(Event::new("add_owner_to_workspace", &[("action_id", &action.id.to_string())]));
    policy::settle(context, action)?;
    Ok(MsgAddWorkspaceOwnerResponse {})
}

/// What [`add_owner`] does once approved.
pub(crate) fn owner_added(context: &mut Context<'_>, message: &MsgAddWorkspaceOwner) -> Result<(), TxFault> {
    let mut workspace = Arc::unwrap_or_clone(find(context, &message.workspace_addr)?);
    if workspace.owners.contains(&message.new_owner) {
        return Err(invalid(format!("{} is already an owner of the workspace", message.new_owner)));
    }
    workspace.owners.push(message.new_owner.clone());
    let attributes = [("workspace_addr", message.workspace_addr.as_str()), ("owner_addr", &message.new_owner)];
    context.raise(Event::new("owner_added_to_workspace", &attributes));
    context.put_workspace(workspace)
}

pub(crate) fn remove_owner(
    context: &mut Context<'_>,
    message: &MsgRemoveWorkspaceOwner,
) -> Result<MsgRemoveWorkspaceOwnerResponse, TxFault> {
    let workspace = owned(context, &message.workspace_addr, &message.creator)?;
    if !workspace.owners.contains(&message.owner) {
        return Err(invalid(format!("{} is not an owner of the workspace", message.owner)));
    }
    let proposal = Proposal::change(&workspace, packed(message), message.btl);
    policy::propose_and_settle(context, proposal)?;
    Ok(MsgRemoveWorkspaceOwnerResponse {})
}

/// What [`remove_owner`] does once approved.
pub(crate) fn owner_removed(context: &mut Context<'_>, message: &MsgRemoveWorkspaceOwner) -> Result<(), TxFault> {
    let mut workspace = Arc::unwrap_or_clone(find(context, &message.workspace_addr)?);
    let place = workspace.owners.iter().position(|owner| *owner == message.owner);
    let place = place.ok_or_else(|| invalid(format!("{} is not an owner of the workspace", message.owner)))?;
    workspace.owners.remove(place);
    for id in [workspace.admin_policy_id, workspace.sign_policy_id] {
        policy::require_participants_own(context, id, &workspace.owners)?;
    }
    context.put_workspace(workspace)
}

pub(crate) fn update(
    context: &mut Context<'_>,
    message: &MsgUpdateWorkspace,
) -> Result<MsgUpdateWorkspaceResponse, TxFault> {
    let workspace = owned(context, &message.workspace_addr, &message.creator)?;
    for id in [message.admin_policy_id, message.sign_policy_id] {
        policy::require_participants_own(context, id, &workspace.owners)?;
    }
    policy::propose_and_settle(context, Proposal::change(&workspace, packed(message), message.btl))?;
    Ok(MsgUpdateWorkspaceResponse {})
}

/// What [`update`] does once approved.
pub(crate) fn updated(context: &mut Context<'_>, message: &MsgUpdateWorkspace) -> Result<(), TxFault> {
    let mut workspace = Arc::unwrap_or_clone(find(context, &message.workspace_addr)?);
    workspace.admin_policy_id = message.admin_policy_id;
    workspace.sign_policy_id = message.sign_policy_id;
    context.put_workspace(workspace)
}

pub(crate) fn new_child(
    context: &mut Context<'_>,
    message: &MsgNewChildWorkspace,
) -> Result<MsgNewChildWorkspaceResponse, TxFault> {
    let parent = owned(context, &message.parent_workspace_addr, &message.creator)?;
    let answer = policy::propose_and_settle(context, Proposal::change(&parent, packed(message), message.btl))?;
    Ok(MsgNewChildWorkspaceResponse { address: answer.child.unwrap_or_default() })
}

/// What [`new_child`] does once approved: a child with the parent's owners and policies.
pub(crate) fn child_made(context: &mut Context<'_>, message: &MsgNewChildWorkspace) -> Result<String, TxFault> {
    let parent = find(context, &message.parent_workspace_addr)?;
    make_child(context, &parent, message.creator.clone(), String::new())
}

/// A child that inherits owners and policies; its address is added to the parent.
pub(crate) fn make_child(
    context: &mut Context<'_>,
    parent: &Workspace,
    creator: String,
    alias: String,
) -> Result<String, TxFault> {
    let child = Workspace {
        address: String::new(),
        creator,
        owners: parent.owners.clone(),
        child_workspaces: Vec::new(),
        admin_policy_id: parent.admin_policy_id,
        sign_policy_id: parent.sign_policy_id,
        alias,
    };
    let address = create(context, child)?;
    let mut parent = parent.clone();
    parent.child_workspaces.push(address.clone());
    context.put_workspace(parent)?;
    Ok(address)
}

pub(crate) fn append_child(
    context: &mut Context<'_>,
    message: &MsgAppendChildWorkspace,
) -> Result<MsgAppendChildWorkspaceResponse, TxFault> {
    let parent = owned(context, &message.parent_workspace_addr, &message.creator)?;
    owned(context, &message.child_workspace_addr, &message.creator)?;
    if parent.child_workspaces.contains(&message.child_workspace_addr) {
        return Err(invalid(format!("{} is already a child", message.child_workspace_addr)));
    }
    policy::propose_and_settle(context, Proposal::change(&parent, packed(message), message.btl))?;
    Ok(MsgAppendChildWorkspaceResponse {})
}

/// What [`append_child`] does once approved.
pub(crate) fn child_appended(context: &mut Context<'_>, message: &MsgAppendChildWorkspace) -> Result<(), TxFault> {
    let mut parent = Arc::unwrap_or_clone(find(context, &message.parent_workspace_addr)?);
    parent.child_workspaces.push(message.child_workspace_addr.clone());
    context.put_workspace(parent)
}
