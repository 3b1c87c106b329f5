//! Policies and actions.

use chain_client::proto::zrchain::policy::{
    Action, ActionResponse, ActionStatus, BoolparserPolicy, Params, Policy, PolicyResponse,
    QueryActionDetailsByIdRequest, QueryActionDetailsByIdResponse, QueryActionsRequest, QueryActionsResponse,
    QueryParamsRequest, QueryParamsResponse, QueryPoliciesByCreatorRequest, QueryPoliciesByCreatorResponse,
    QueryPoliciesRequest, QueryPoliciesResponse, QueryPolicyByIdRequest, QueryPolicyByIdResponse,
    QuerySignMethodsByAddressRequest, QuerySignMethodsByAddressResponse,
};
use prost::Message;

use super::pagination::page;
use super::{View, reply};
use crate::chain::fault::QueryError;

pub(super) fn dispatch(view: &View<'_>, method: &str, request: &[u8]) -> Option<Result<Vec<u8>, QueryError>> {
    Some(match method {
        "Params" => reply(view, request, params),
        "Actions" => reply(view, request, actions),
        "Policies" => reply(view, request, policies),
        "PolicyById" => reply(view, request, policy_by_id),
        "PoliciesByCreator" => reply(view, request, policies_by_creator),
        "SignMethodsByAddress" => reply(view, request, sign_methods),
        "ActionDetailsById" => reply(view, request, action_details),
        _ => return None,
    })
}

fn params(view: &View<'_>, _: QueryParamsRequest) -> Result<QueryParamsResponse, QueryError> {
    let policy = &view.chain.rules.policy;
    let params = Params { minimum_btl: policy.minimum_btl, default_btl: policy.default_btl };
    Ok(QueryParamsResponse { params: Some(params) })
}

/// Participants of a policy; policy 0 has none.
fn participants(view: &View<'_>, id: u64) -> Vec<String> {
    let policy = view.state.policies.get(&id).and_then(|policy| policy.policy.as_ref());
    let rule = policy.and_then(|any| BoolparserPolicy::decode(any.value.as_slice()).ok()).unwrap_or_default();
    rule.participants.into_iter().map(|one| one.address).collect()
}

fn actions(view: &View<'_>, request: QueryActionsRequest) -> Result<QueryActionsResponse, QueryError> {
    let (actions, next) = page(&view.state.actions, request.pagination.as_ref(), |action| {
        let of_status = request.status() == ActionStatus::Unspecified || request.status() == action.status();
        let concerned = || {
            request.address.is_empty()
                || action.creator == request.address
                || action.approvers.contains(&request.address)
                || participants(view, action.policy_id).contains(&request.address)
        };
        (of_status && concerned()).then(|| render(action))
    })?;
    Ok(QueryActionsResponse { pagination: Some(next), actions })
}

fn render(action: &Action) -> ActionResponse {
    ActionResponse {
        id: action.id,
        approvers: action.approvers.clone(),
        status: action.status().as_str_name().to_owned(),
        policy_id: action.policy_id,
        msg: action.msg.clone(),
        creator: action.creator.clone(),
        btl: action.btl,
        policy_data: action.policy_data.clone(),
    }
}

fn policies(view: &View<'_>, request: QueryPoliciesRequest) -> Result<QueryPoliciesResponse, QueryError> {
    let (policies, next) = page(&view.state.policies, request.pagination.as_ref(), |policy| {
        Some(PolicyResponse { policy: Some(policy.as_ref().clone()), metadata: None })
    })?;
    Ok(QueryPoliciesResponse { pagination: Some(next), policies })
}

fn policy_by_id(view: &View<'_>, request: QueryPolicyByIdRequest) -> Result<QueryPolicyByIdResponse, QueryError> {
    let policy = find_policy(view, request.id)?;
    Ok(QueryPolicyByIdResponse { policy: Some(PolicyResponse { policy: Some(policy), metadata: None }) })
}

fn find_policy(view: &View<'_>, id: u64) -> Result<Policy, QueryError> {
    let policy = view.state.policies.get(&id).map(|policy| policy.as_ref().clone());
    policy.ok_or_else(|| QueryError::unknown(format!("policy not found: {id}")))
}

fn policies_by_creator(
    view: &View<'_>,
    request: QueryPoliciesByCreatorRequest,
) -> Result<QueryPoliciesByCreatorResponse, QueryError> {
    let (policies, next) = page(&view.state.policies, request.pagination.as_ref(), |policy| {
        request.creators.contains(&policy.creator).then(|| policy.as_ref().clone())
    })?;
    Ok(QueryPoliciesByCreatorResponse { policies, pagination: Some(next) })
}

/// Sign methods cannot be registered here, so nobody has any.
fn sign_methods(
    _: &View<'_>,
    _: QuerySignMethodsByAddressRequest,
) -> Result<QuerySignMethodsByAddressResponse, QueryError> {
    Ok(QuerySignMethodsByAddressResponse { pagination: Some(Default::default()), config: Vec::new() })
}

fn action_details(
    view: &View<'_>,
    request: QueryActionDetailsByIdRequest,
) -> Result<QueryActionDetailsByIdResponse, QueryError> {
    let action = view.state.actions.get(&request.id);
    let action = action.ok_or_else(|| QueryError::unknown(format!("action not found: {}", request.id)))?;
    let pending = participants(view, action.policy_id).into_iter().filter(|one| !action.approvers.contains(one));
    let policy = if action.policy_id == 0 { None } else { Some(find_policy(view, action.policy_id)?) };
    Ok(QueryActionDetailsByIdResponse {
        id: action.id,
        action: Some(action.as_ref().clone()),
        policy,
        approvers: action.approvers.clone(),
        pending_approvers: pending.collect(),
        current_height: view.height,
    })
}
