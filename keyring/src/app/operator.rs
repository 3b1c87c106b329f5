//! What an operator decides about a contract: looked at and refused with its reason here, before the node is told.

use alloy_primitives::hex;
use chain_client::zrsign::range::Mark;

use super::facts::{ContractView, Desk};
use crate::admin::proto::{RebaseContractReply, ReleaseNonceReply};
use crate::decree::DecreeId;
use crate::node::{ContractNews, Event, Node};
use crate::request::RequestRecord;
use crate::store::{Store, StoreError, Table};

/// Requests that one decision may undo: more were not asked in the blocks of any reorganisation yet.
const UNDONE_MAX: usize = 1_000;
/// Records read at a time.
const PAGE: usize = 256;

/// Takes the chain as it is now for true, and reads it anew behind a block. `None`: the node has ended.
pub(super) async fn rebase(desk: &Desk, chain: &str, height: u64) -> Option<Result<RebaseContractReply, String>> {
    let Some(view) = desk.contracts.get(chain) else {
        return Some(Err(format!("no contract on {chain:?} is served here")));
    };
    let name = chain.to_owned();
    let look = move |node: &Node, _: &dyn Store| node.contract(&name).map(|shown| (shown.mark, shown.closed.is_some()));
    let Some((Some(mark), true)) = desk.inbox.look(look).await? else {
        return Some(Err(format!("{chain} is read as it should be: there is nothing to decide")));
    };
    let new = match new_mark(view, mark, height).await {
        Ok(new) => new,
        Err(why) => return Some(Err(why)),
    };
    let (store, name) = (desk.store.clone(), chain.to_owned());
    // A long memory takes long to look through: not on the node's own thread. A closed contract takes nothing new in.
    let undone = tokio::task::spawn_blocking(move || read_behind(store.as_ref(), &name, height)).await.ok()?;
    let undone = match undone {
        Ok(undone) if undone.len() > UNDONE_MAX => {
            let why = format!("more than {UNDONE_MAX} requests were read behind block {height}: name a higher block");
            return Some(Err(why));
        }
        Ok(undone) => undone,
        Err(error) => return Some(Err(format!("the store cannot be read: {error}"))),
    };
    let reply = RebaseContractReply { block: hex::encode_prefixed(new.hash), undone: undone.len() as u64 };
    desk.inbox.tell(Event::Contract(chain.to_owned(), ContractNews::Rebase { mark: new, undone })).await;
    let name = chain.to_owned();
    let is_taken = desk.inbox.look(move |node, _| node.contract(&name).is_some_and(|shown| shown.mark != Some(mark)));
    let late = || format!("{chain} was opened or read on at this very moment: look at `status`");
    Some(is_taken.await?.then_some(reply).ok_or_else(late))
}

/// Gives up the nonce of a simple transaction, or one that cannot be completed. `None`: the node has ended.
pub(super) async fn release(desk: &Desk, chain: &str, trace: u64) -> Option<Result<ReleaseNonceReply, String>> {
    let name = chain.to_owned();
    let holds_its_line = move |node: &Node, _: &dyn Store| {
        let flight = node.flights(&name).find(|(_, flight)| flight.decree.request == trace);
        let nonce = flight.map(|(_, flight)| flight.nonce);
        nonce.map(Some).or_else(|| node.incomplete(&name, trace).map(|_| None))
    };
    let Some(nonce) = desk.inbox.look(holds_its_line.clone()).await? else {
        return Some(Err(format!("no simple transaction of number {trace} on {chain:?} is in flight or next here")));
    };
    desk.inbox.tell(Event::Contract(chain.to_owned(), ContractNews::Release(trace))).await;
    let is_given_up = desk.inbox.look(holds_its_line).await?.is_none();
    Some(
        is_given_up
            .then_some(ReleaseNonceReply { nonce })
            .ok_or_else(|| "it was not given up; look at `why`".to_owned()),
    )
}

/// The mark of that block, if the block of the old mark is gone.
async fn new_mark(view: &ContractView, mark: Mark, height: u64) -> Result<Mark, String> {
    if height >= mark.height {
        return Err(format!("block {height} is not below block {}, up to which this party has read", mark.height));
    }
    let unread = |error: chain_client::zrsign::evm::EvmError| format!("the chain cannot be read now: {error}");
    if view.client.block(mark.height).await.map_err(unread)?.is_some_and(|block| block.hash == mark.hash) {
        return Err(format!(
            "block {} stands where this party read it: nothing was taken back, the contract is closed for another reason",
            mark.height
        ));
    }
    view.client.mark(view.proxy.address, height).await.map_err(unread)
}

/// Every request of a contract whose event stood behind a block, ended ones among them.
fn read_behind(store: &dyn Store, chain: &str, height: u64) -> Result<Vec<DecreeId>, StoreError> {
    let prefix = DecreeId::prefix_of_chain(chain);
    let (mut behind, mut after) = (Vec::new(), None::<Vec<u8>>);
    while behind.len() <= UNDONE_MAX {
        let page = store.scan(Table::Request, &prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (name, bytes) in &page {
            let damaged = || StoreError::Damaged {
                place: format!("request/{}", hex::encode(name)),
                what: "record does not decode",
            };
            let record: RequestRecord = postcard::from_bytes(bytes).map_err(|_| damaged())?;
            let id = DecreeId::from_bytes(name).ok_or_else(damaged)?;
            if record.asked.is_some_and(|asked| asked.at().height > height) {
                behind.push(id);
            }
        }
    }
    Ok(behind)
}
