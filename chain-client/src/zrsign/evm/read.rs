//! Final blocks, read whole: all of a range from one endpoint, or nothing of it.

use alloy_primitives::Address;
use alloy_rpc_types_eth::BlockNumberOrTag;
use alloy_sol_types::SolEvent as _;
use futures::{StreamExt as _, TryStreamExt as _, stream, try_join};

use super::block::{Block, Checked};
use super::code::Code;
use super::node::Node;
use super::{Evidence, EvmChain, EvmError, Finality};
use crate::name::EndpointId;
use crate::zrsign::abi;
use crate::zrsign::event::Log;
use crate::zrsign::range::{Header, Mark, Shown, admitted, judge};

/// The ends of a chain, as one endpoint shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tips {
    /// Who showed them.
    pub endpoint: EndpointId,
    /// The newest block.
    pub head: Block,
    /// The newest block that never changes.
    pub last_final: Block,
}

/// Logs of a proxy that were written while one code ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which code. `None`: there was no contract yet, or the code changed unannounced and nobody can tell which ran; such
    /// logs do not count.
    pub code: Option<Code>,
    /// The proxy's logs in order. The `Upgraded` that brought this code is the first of them.
    pub logs: Vec<Log>,
}

/// Final blocks without a gap behind a mark. The mark and all spans belong together: they count all, durably, or not at
/// all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where the next range begins. What the contract says of itself at this block holds for the last span.
    pub mark: Mark,
    /// In order, at least one. More than one only in a range of a single block in which the code changed: what the
    /// contract said of itself before holds for the first of them, at the mark that the range began behind.
    pub spans: Vec<Span>,
}

impl EvmChain {
    /// The newest block and the newest final one, of one endpoint.
    ///
    /// # Errors
    /// When no endpoint shows both.
    pub async fn tips(&self) -> Result<Tips, EvmError> {
        self.pool.ask(async |node: &Node| Ok(self.tips_of(node).await?.0)).await
    }

    /// The block at a height, final or not; `None` while the endpoint that answers has none.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn block(&self, height: u64) -> Result<Option<Block>, EvmError> {
        let number = BlockNumberOrTag::Number(height);
        let ask = async |node: &Node| Ok(node.block(self.evidence(), number).await?.map(|checked| checked.block));
        self.pool.ask(ask).await
    }

    /// The mark of a final block, to begin reading behind it: the one before the block that brought the proxy, say.
    ///
    /// # Errors
    /// [`EvmError::Behind`] while the block is not final; otherwise as for ranges.
    pub async fn mark(&self, proxy: Address, height: u64) -> Result<Mark, EvmError> {
        let ask = async |node: &Node| {
            let (tips, _) = self.tips_of(node).await?;
            if height > tips.last_final.height {
                return Err(behind(node, tips.last_final.height, height));
            }
            let block = node.block_there(self.evidence(), BlockNumberOrTag::Number(height)).await?.block;
            Ok(Mark { height, hash: block.hash, next_trace: node.next_trace(proxy, block.hash).await? })
        };
        self.pool.agreed(ask).await
    }

    /// The next final blocks behind a mark with all logs of a proxy; `None` while there are none. One range reaches to
    /// the next change of code at most, and has no more blocks and bytes than the settings allow: ask again.
    ///
    /// The endpoint must still know the state of the blocks from the mark on: a node that forgets it early refuses.
    ///
    /// # Errors
    /// [`EvmError::Reorganised`]: stop the chain. Anything else: nothing is lost, ask again later.
    pub async fn range(&self, proxy: Address, from: Mark) -> Result<Option<Range>, EvmError> {
        if self.settings().agree <= 1 {
            return self.pool.ask(async |node: &Node| self.range_of(node, proxy, from, None).await).await;
        }
        // All must be asked for the same blocks: as far as enough of them have come.
        let said = self.pool.each(async |node: &Node| Ok(self.tips_of(node).await?.0.last_final.height)).await;
        let (mut heights, mut error) = (Vec::new(), None);
        for one in said {
            match one {
                Ok(height) => heights.push(height),
                Err(why) => error = Some(why),
            }
        }
        heights.sort_unstable_by(|a, b| b.cmp(a));
        match (heights.get(self.settings().agree.saturating_sub(1)), error) {
            (Some(limit), _) => {
                let limit = (*limit).max(from.height);
                self.pool.agreed(async |node: &Node| self.range_of(node, proxy, from, Some(limit)).await).await
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    pub(super) const fn evidence(&self) -> Evidence {
        self.settings().evidence
    }

    /// Head and last final block; the latter with its header.
    pub(super) async fn tips_of(&self, node: &Node) -> Result<(Tips, Checked), EvmError> {
        let block = async |which| node.block_there(self.evidence(), which).await;
        let (last, head) = match self.finality {
            // In this order: the head is never older than what it makes final.
            Finality::Finalized => {
                let last = block(BlockNumberOrTag::Finalized).await?;
                (last, block(BlockNumberOrTag::Latest).await?)
            }
            Finality::Depth(depth) => {
                let head = block(BlockNumberOrTag::Latest).await?;
                let height = head.block.height.saturating_sub(depth);
                let last = if height == head.block.height { head.clone() } else { block(height.into()).await? };
                (last, head)
            }
        };
        let (height, newest) = (last.block.height, head.block.height);
        if height > newest {
            return Err(node.malformed(format!("it calls block {height} final, but its newest is {newest}")));
        }
        if height == newest && last.block.hash != head.block.hash {
            return Err(node.malformed(format!("it shows two blocks at height {height}")));
        }
        Ok((Tips { endpoint: node.id, head: head.block, last_final: last.block }, last))
    }

    async fn range_of(
        &self,
        node: &Node,
        proxy: Address,
        from: Mark,
        limit: Option<u64>,
    ) -> Result<Option<Range>, EvmError> {
        let (_, last) = self.tips_of(node).await?;
        let newest = last.block.height;
        if newest < from.height {
            return Err(self.lagging(node, from, newest).await?);
        }
        if let Some(wanted) = limit.filter(|limit| newest < *limit) {
            return Err(behind(node, newest, wanted));
        }
        let reach = from.height.saturating_add(self.settings().range_blocks_max.max(1));
        let upto = newest.min(reach).min(limit.unwrap_or(u64::MAX));
        let mut headers = self.headers(node, from, upto).await?;
        if upto == newest && headers.last().map_or(from.hash, |header| header.hash) != last.block.hash {
            return Err(node.malformed(format!("it shows two blocks at height {upto}")));
        }
        node.showed_final(from.height);
        if headers.is_empty() {
            return Ok(None);
        }
        let shown = self.receipts(node, proxy, &mut headers).await?;
        let range = self.judged(node, proxy, from, headers, &shown).await?;
        node.showed_final(range.mark.height);
        Ok(Some(range))
    }

    /// An endpoint that has not come as far as the mark, or no longer: which of the two.
    async fn lagging(&self, node: &Node, from: Mark, newest: u64) -> Result<EvmError, EvmError> {
        if node.final_shown() < from.height {
            return Ok(behind(node, newest, from.height));
        }
        let found = node.block(self.evidence(), from.height.into()).await?.map(|checked| checked.block.hash);
        Ok(match found {
            Some(hash) if hash == from.hash => {
                EvmError::Retreated { endpoint: node.name.clone(), height: newest, shown: node.final_shown() }
            }
            _ => reorganised(node, from, found),
        })
    }

    /// The headers behind a mark. Its own block is asked for as well: only that tells a reorganised chain from a broken
    /// reply.
    async fn headers(&self, node: &Node, from: Mark, upto: u64) -> Result<Vec<Header>, EvmError> {
        let calls = self.settings().calls_at_once.max(1);
        let header = async |height: u64| Ok(node.block_there(self.evidence(), height.into()).await?.header);
        let own = header(from.height).await?;
        if own.hash != from.hash {
            return Err(reorganised(node, from, Some(own.hash)));
        }
        stream::iter(from.height.saturating_add(1)..=upto).map(header).buffered(calls).try_collect().await
    }

    /// The receipts that may matter, and with them where the range ends: before too many bytes, and before a block with
    /// a change of code, unless that block is all there is.
    async fn receipts(&self, node: &Node, proxy: Address, headers: &mut Vec<Header>) -> Result<Vec<Shown>, EvmError> {
        let needed: Vec<Header> = admitted(headers, proxy).cloned().collect();
        let calls = self.settings().calls_at_once.max(1);
        let ask = |header: Header| async move { Ok((node.receipts(&header).await?, header.height)) };
        let mut replies = stream::iter(needed).map(ask).buffered(calls);
        let (mut shown, mut bytes) = (Vec::new(), 0_usize);
        while let Some((receipts, height)) = replies.try_next().await? {
            let place = headers.iter().position(|header| header.height == height).unwrap_or_default();
            bytes = bytes.saturating_add(receipts.logs.iter().map(size).sum());
            let changes = receipts.logs.iter().any(|log| log.address == proxy && is_upgrade(log));
            if place > 0 && (changes || bytes > self.settings().range_bytes_max) {
                headers.truncate(place);
                break;
            }
            shown.push(receipts);
            if changes {
                headers.truncate(1);
                break;
            }
        }
        Ok(shown)
    }

    /// Judges the blocks, and tells which code ran.
    async fn judged(
        &self,
        node: &Node,
        proxy: Address,
        from: Mark,
        mut headers: Vec<Header>,
        shown: &[Shown],
    ) -> Result<Range, EvmError> {
        let incomplete = |why| EvmError::Incomplete { endpoint: node.name.clone(), why };
        loop {
            let last = headers.last().map_or(from.hash, |header| header.hash);
            let (next_trace, before, after) =
                try_join!(node.next_trace(proxy, last), node.code(proxy, from.hash), node.code(proxy, last))?;
            let (mark, logs) = judge(from, &headers, shown, next_trace, proxy).map_err(incomplete)?;
            let spans = if logs.iter().any(is_upgrade) {
                changed(node, before, after, logs, mark).await?
            } else if before == after {
                vec![Span { code: before, logs }]
            } else if headers.len() > 1 {
                // It changed without a word, somewhere: block by block until that is behind.
                headers.truncate(1);
                continue;
            } else {
                vec![Span { code: None, logs }]
            };
            return Ok(Range { mark, spans });
        }
    }
}

/// Cuts the logs of one block where its code changed. Each code in between is the one announced; the last must be the
/// one that is there in the end, or the announcements are worth nothing.
async fn changed(
    node: &Node,
    before: Option<Code>,
    after: Option<Code>,
    logs: Vec<Log>,
    mark: Mark,
) -> Result<Vec<Span>, EvmError> {
    let mut spans = vec![Span { code: before, logs: Vec::new() }];
    for log in logs {
        if is_upgrade(&log) {
            let named = log.topics.get(1).map(|topic| Address::from_word(*topic));
            let code = match named {
                Some(implementation) => {
                    Some(Code { implementation, code_hash: node.code_hash(implementation, mark.hash).await? })
                }
                None => None,
            };
            spans.push(Span { code, logs: vec![log] });
        } else if let Some(span) = spans.last_mut() {
            span.logs.push(log);
        }
    }
    if spans.last().is_none_or(|span| span.code != after) {
        spans.iter_mut().skip(1).for_each(|span| span.code = None);
    }
    spans.retain(|span| !span.logs.is_empty());
    Ok(spans)
}

fn is_upgrade(log: &Log) -> bool {
    log.topics.first() == Some(&abi::Upgraded::SIGNATURE_HASH)
}

/// What a log takes in memory, roughly.
fn size(log: &Log) -> usize {
    size_of::<Log>().saturating_add(log.data.len()).saturating_add(log.topics.len().saturating_mul(32))
}

fn behind(node: &Node, height: u64, wanted: u64) -> EvmError {
    EvmError::Behind { endpoint: node.name.clone(), height, wanted }
}

fn reorganised(node: &Node, from: Mark, found: Option<alloy_primitives::B256>) -> EvmError {
    EvmError::Reorganised { endpoint: node.name.clone(), height: from.height, expected: from.hash, found }
}
