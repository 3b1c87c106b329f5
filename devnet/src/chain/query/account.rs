//! Accounts and balances, as the SDK's own services answer.

use chain_client::proto::cosmos::auth::v1beta1::{
    BaseAccount, ModuleAccount, QueryAccountRequest, QueryAccountResponse,
};
use chain_client::proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use chain_client::proto::cosmos::base::v1beta1::Coin;
use chain_client::proto::cosmos::crypto::secp256k1::PubKey;

use super::View;
use crate::chain::address::Address;
use crate::chain::coins::DENOM;
use crate::chain::fault::QueryError;
use crate::chain::message::packed;

pub(super) fn account(view: &View<'_>, request: QueryAccountRequest) -> Result<QueryAccountResponse, QueryError> {
    if request.address.is_empty() {
        return Err(QueryError::invalid("Address cannot be empty"));
    }
    let address = Address::parse(&request.address).map_err(QueryError::invalid)?;
    let account = view.state.accounts.get(&address);
    let account = account.ok_or_else(|| QueryError::not_found(format!("account {} not found", request.address)))?;
    let base = BaseAccount {
        address: address.text(),
        pub_key: account.public_key.map(|key| packed(&PubKey { key: key.to_vec() })),
        account_number: account.number,
        sequence: account.sequence,
    };
    let account = match &account.module {
        None => packed(&base),
        Some(name) => packed(&ModuleAccount { base_account: Some(base), name: name.clone(), permissions: Vec::new() }),
    };
    Ok(QueryAccountResponse { account: Some(account) })
}

pub(super) fn balance(view: &View<'_>, request: QueryBalanceRequest) -> Result<QueryBalanceResponse, QueryError> {
    let address = Address::parse(&request.address).map_err(QueryError::invalid)?;
    if request.denom.is_empty() {
        return Err(QueryError::invalid("invalid denom: "));
    }
    let amount = if request.denom == DENOM { view.state.balance(&address) } else { 0 };
    Ok(QueryBalanceResponse { balance: Some(Coin { denom: request.denom, amount: amount.to_string() }) })
}
