//! Keyrings and workspaces.

use chain_client::proto::zrchain::identity::{
    Params, QueryKeyringByAddressRequest, QueryKeyringByAddressResponse, QueryKeyringsRequest, QueryKeyringsResponse,
    QueryParamsRequest, QueryParamsResponse, QueryWorkspaceByAddressRequest, QueryWorkspaceByAddressResponse,
    QueryWorkspacesRequest, QueryWorkspacesResponse,
};

use super::pagination::page;
use super::{View, reply};
use crate::chain::fault::QueryError;

pub(super) fn dispatch(view: &View<'_>, method: &str, request: &[u8]) -> Option<Result<Vec<u8>, QueryError>> {
    Some(match method {
        "Params" => reply(view, request, params),
        "Keyrings" => reply(view, request, keyrings),
        "KeyringByAddress" => reply(view, request, keyring_by_address),
        "Workspaces" => reply(view, request, workspaces),
        "WorkspaceByAddress" => reply(view, request, workspace_by_address),
        _ => return None,
    })
}

fn params(view: &View<'_>, _: QueryParamsRequest) -> Result<QueryParamsResponse, QueryError> {
    let keyring_creation_fee = view.chain.rules.identity.keyring_creation_fee;
    Ok(QueryParamsResponse { params: Some(Params { keyring_creation_fee }) })
}

fn keyrings(view: &View<'_>, request: QueryKeyringsRequest) -> Result<QueryKeyringsResponse, QueryError> {
    let (keyrings, next) =
        page(&view.state.keyrings, request.pagination.as_ref(), |keyring| Some(keyring.as_ref().clone()))?;
    Ok(QueryKeyringsResponse { keyrings, pagination: Some(next) })
}

fn keyring_by_address(
    view: &View<'_>,
    request: QueryKeyringByAddressRequest,
) -> Result<QueryKeyringByAddressResponse, QueryError> {
    let keyring = view.state.keyrings.get(&request.keyring_addr);
    let keyring = keyring.ok_or_else(|| not_found("keyring", &request.keyring_addr))?;
    Ok(QueryKeyringByAddressResponse { keyring: Some(keyring.as_ref().clone()) })
}

fn workspaces(view: &View<'_>, request: QueryWorkspacesRequest) -> Result<QueryWorkspacesResponse, QueryError> {
    let (owner, creator) = (request.owner, request.creator);
    let (workspaces, next) = page(&view.state.workspaces, request.pagination.as_ref(), |workspace| {
        let all = owner.is_empty() && creator.is_empty();
        let owned = !owner.is_empty() && workspace.owners.contains(&owner);
        let created = !creator.is_empty() && workspace.creator == creator;
        (all || owned || created).then(|| workspace.as_ref().clone())
    })?;
    Ok(QueryWorkspacesResponse { workspaces, pagination: Some(next) })
}

fn workspace_by_address(
    view: &View<'_>,
    request: QueryWorkspaceByAddressRequest,
) -> Result<QueryWorkspaceByAddressResponse, QueryError> {
    let workspace = view.state.workspaces.get(&request.workspace_addr);
    let workspace = workspace.ok_or_else(|| not_found("workspace", &request.workspace_addr))?;
    Ok(QueryWorkspaceByAddressResponse { workspace: Some(workspace.as_ref().clone()) })
}

fn not_found(what: &str, address: &str) -> QueryError {
    QueryError::unknown(format!("codespace identity code 1503: not found: {what} {address} not found"))
}
