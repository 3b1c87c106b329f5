//! All open requests of the keyring, at one height of one node.
//!
//! PENDING and PARTIAL are asked for separately, because the chain's filter is exact; pages start from a made-up key
//! (eight bytes of an id) because only then do filter and paging fit together, and a page may be empty while more
//! follow (`docs/zrchain.md`, *Pages*). The low-water mark moves past what is closed or past its deadline, so the cost
//! of a scan grows with live requests and not with history.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{ZrChain, map, read};
use crate::endpoint::{Node, ReadError, Settings, pinned};
use crate::name::{EndpointId, Height, RequestId, RequestKind};
use crate::proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use crate::proto::zrchain::treasury::{
    KeyRequestStatus, QueryKeyRequestsRequest, QuerySignatureRequestsRequest, SignRequestStatus,
};
use crate::reading::{Pinned, Scan};
use crate::request::{LowWater, Request};

/// Deadlines of open key requests, which lists leave out. Fixed when a request is made, so each is asked for once
/// of each endpoint.
pub(super) type Deadlines = BTreeMap<(EndpointId, u64), Option<Height>>;

/// Deadlines remembered at most; open key requests are far fewer.
const DEADLINES_MAX: usize = 16_384;

/// Key requests asked for at once.
const DEADLINES_AT_ONCE: usize = 8;

impl ZrChain {
    /// All open requests from a low-water mark on, children and parents included, all of one height of one node.
    ///
    /// Begin with `LowWater::default()` and hand each scan's mark to the next. A mark is worth storing.
    ///
    /// # Errors
    /// When no endpoint answers all pages for one height.
    pub async fn open_requests(&self, from: LowWater) -> Result<Pinned<Scan>, ReadError> {
        self.endpoints.ask(|node| self.scan(node, from)).await
    }

    async fn scan(&self, node: &Node, from: LowWater) -> Result<Pinned<Scan>, ReadError> {
        let settings = self.endpoints.settings();
        let walk = |kind, open, start, at| Walk::new(self, node, kind, open, start).run(settings, at);
        // The first page says of which height the scan is; all others are pinned to it.
        let (height, keys_pending) = walk(RequestKind::Key, Open::Pending, from.key, None).await?;
        let at = Some(height);
        let ((_, keys_partial), (_, pending), (_, partial)) = futures::try_join!(
            walk(RequestKind::Key, Open::Partial, from.key, at),
            walk(RequestKind::Signature, Open::Pending, from.signature, at),
            walk(RequestKind::Signature, Open::Partial, from.signature, at),
        )?;
        let mut keys = Found::join(keys_pending, keys_partial);
        let signatures = Found::join(pending, partial);
        self.fill_deadlines(node, height, &mut keys.requests).await?;
        let low_water = LowWater { key: keys.low_water(height), signature: signatures.low_water(height) };
        self.forget_deadlines(node.id(), low_water.key);

        let complete = keys.complete && signatures.complete;
        let unreadable = [keys.unreadable, signatures.unreadable].concat();
        let requests = [keys.requests, signatures.requests].concat();
        let scan = Scan { requests, low_water, complete, unreadable };
        Ok(Pinned { endpoint: node.id(), height, value: scan })
    }

    /// Lists of key requests leave the deadline out: the query by id has it.
    async fn fill_deadlines(&self, node: &Node, at: Height, requests: &mut [Request]) -> Result<(), ReadError> {
        let key_of = |id: RequestId| (node.id(), id.number);
        let mut known: Deadlines = {
            let remembered = self.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = requests.iter().map(|request| key_of(request.id));
            keys.filter_map(|key| remembered.get(&key).map(|deadline| (key, *deadline))).collect()
        };
        let missing: Vec<_> =
            requests.iter().map(|request| request.id).filter(|id| !known.contains_key(&key_of(*id))).collect();
        let fetched: Vec<_> = stream::iter(missing)
            .map(|id| async move {
                let found = read::request(node, id, Some(at)).await?.value;
                let request =
                    found.ok_or_else(|| node.malformed(format!("lists request {id} but does not know it")))?;
                Ok::<_, ReadError>((key_of(id), request.deadline))
            })
            .buffered(DEADLINES_AT_ONCE)
            .try_collect()
            .await?;
        known.extend(fetched);
        for request in requests {
            request.deadline = known.get(&key_of(request.id)).copied().flatten();
        }
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
        Ok(())
    }

    fn forget_deadlines(&self, node: EndpointId, below: u64) {
        let mut deadlines = self.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
        deadlines.retain(|&(endpoint, id), _| endpoint != node || id >= below);
        while deadlines.len() > DEADLINES_MAX {
            deadlines.pop_first();
        }
    }
}

/// The two statuses in which an answer counts.
#[derive(Clone, Copy)]
enum Open {
    Pending,
    Partial,
}

/// What one walk or two found.
struct Found {
    requests: Vec<Request>,
    unreadable: Vec<RequestId>,
    /// Where the last page began: everything of this status below stands in `requests`.
    last_page: u64,
    complete: bool,
}

impl Found {
    fn join(mut one: Self, other: Self) -> Self {
        one.requests.extend(other.requests);
        one.requests.sort_by_key(|request| request.id);
        one.unreadable.extend(other.unreadable);
        one.last_page = one.last_page.min(other.last_page);
        one.complete &= other.complete;
        one
    }

    /// The lowest request that can still be answered, or where the last page began. What can no longer be answered in
    /// the next block does not hold the mark back.
    fn low_water(&self, height: Height) -> u64 {
        let is_live = |request: &&Request| request.deadline.is_none_or(|deadline| deadline > height);
        let lowest = self.requests.iter().find(is_live).map(|request| request.id.number);
        lowest.map_or(self.last_page, |lowest| lowest.min(self.last_page))
    }
}

/// One page, in our words.
struct Page {
    requests: Vec<Request>,
    unreadable: Vec<RequestId>,
    next: Option<u64>,
}

/// One walk over all requests of one kind and status.
struct Walk<'a> {
    chain: &'a ZrChain,
    node: &'a Node,
    kind: RequestKind,
    open: Open,
    key: u64,
}

impl<'a> Walk<'a> {
    fn new(chain: &'a ZrChain, node: &'a Node, kind: RequestKind, open: Open, start: u64) -> Self {
        Self { chain, node, kind, open, key: start.max(1) }
    }

    /// Pages until the chain names no next one. A page that is too large is asked for again with fewer records; a
    /// single record that is too large is noted and stepped over (ids are consecutive).
    async fn run(mut self, settings: &Settings, mut at: Option<Height>) -> Result<(Height, Found), ReadError> {
        let mut found = Found { requests: vec![], unreadable: vec![], last_page: self.key, complete: false };
        let mut limit = settings.page_records.max(1);
        let mut bytes = 0u64;
        for _ in 0..settings.pages_max {
            let page = match self.page(limit, at).await {
                Ok(page) => page,
                Err(ReadError::TooLarge { .. }) if limit > 1 => {
                    limit /= 2;
                    continue;
                }
                Err(ReadError::TooLarge { .. }) => {
                    found.unreadable.push(RequestId { kind: self.kind, number: self.key });
                    self.key += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            at = Some(page.height);
            limit = limit.saturating_mul(2).min(settings.page_records.max(1));
            found.last_page = self.key;
            bytes = bytes.saturating_add(page.value.requests.iter().map(|request| request.record_bytes).sum());
            found.requests.extend(page.value.requests);
            found.unreadable.extend(page.value.unreadable);
            match page.value.next {
                None => {
                    found.complete = true;
                    break;
                }
                Some(_) if bytes > settings.scan_bytes_max => break,
                Some(next) if next > self.key => self.key = next,
                Some(_) => return Err(self.node.malformed("pages do not ascend")),
            }
        }
        match at {
            Some(height) => Ok((height, found)),
            None => Err(ReadError::TooLarge { endpoint: self.node.name().to_owned() }),
        }
    }

    async fn page(&self, limit: u64, at: Option<Height>) -> Result<Pinned<Page>, ReadError> {
        let pagination = Some(PageRequest { key: self.key.to_be_bytes().to_vec(), limit, ..Default::default() });
        let keyring_addr = self.chain.keyring.clone();
        let mut client = self.node.treasury();
        match self.kind {
            RequestKind::Key => {
                let status = match self.open {
                    Open::Pending => KeyRequestStatus::Pending,
                    Open::Partial => KeyRequestStatus::Partial,
                };
                let question = QueryKeyRequestsRequest {
                    keyring_addr,
                    status: status.into(),
                    workspace_addr: String::new(),
                    pagination,
                };
                let reply = self.node.read(at, client.key_requests(pinned(question, at))).await?;
                let Pinned { endpoint, height, value } = reply;
                let mapped = value.key_requests.into_iter().map(|of| (of.id, map::key_request(of)));
                Ok(Pinned { endpoint, height, value: self.gather(mapped, value.pagination)? })
            }
            RequestKind::Signature => {
                let status = match self.open {
                    Open::Pending => SignRequestStatus::Pending,
                    Open::Partial => SignRequestStatus::Partial,
                };
                let question = QuerySignatureRequestsRequest { keyring_addr, status: status.into(), pagination };
                let reply = self.node.read(at, client.signature_requests(pinned(question, at))).await?;
                let Pinned { endpoint, height, value } = reply;
                let mapped = value.sign_requests.into_iter().map(|of| (of.id, map::signature_request(of)));
                Ok(Pinned { endpoint, height, value: self.gather(mapped, value.pagination)? })
            }
        }
    }

    /// Keeps what is open; what has a form we do not know is noted, never taken for open.
    fn gather(
        &self,
        mapped: impl Iterator<Item = (u64, Result<Request, map::Unknown>)>,
        pagination: Option<PageResponse>,
    ) -> Result<Page, ReadError> {
        let (mut requests, mut unreadable) = (Vec::new(), Vec::new());
        for (number, request) in mapped {
            match request {
                Ok(request) if request.status.is_open() => requests.push(request),
                Ok(_) => {}
                Err(unknown) => {
                    tracing::warn!(endpoint = self.node.name(), number, %unknown, "request cannot be read");
                    unreadable.push(RequestId { kind: self.kind, number });
                }
            }
        }
        let next_key = pagination.unwrap_or_default().next_key;
        let next = match next_key.as_slice() {
            [] => None,
            bytes => {
                let id = bytes.try_into().map_err(|_| self.node.malformed("next page's key is not 8 bytes"))?;
                Some(u64::from_be_bytes(id))
            }
        };
        Ok(Page { requests, unreadable, next })
    }
}
