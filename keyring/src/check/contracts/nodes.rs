//! The endpoints of a contract's chain: each answers for the right chain, none is far behind, all follow one chain.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use chain_client::zrsign::evm::Tips;

use super::super::{Finding, fail, ok, warn};
use super::{ContractFacts, EvmNodeFacts, named};

/// How old the newest block of a chain may be, and how far one node may be behind another.
const HEAD_AGE_MS: u64 = 60_000;
/// Older than this nothing new is seen.
const HEAD_AGE_FAIL_MS: u64 = 600_000;
/// How far from the future a block may be: makers of blocks have clocks of their own.
const HEAD_AHEAD_MS: u64 = 15_000;
/// Further than this a clock is wrong.
const HEAD_AHEAD_FAIL_MS: u64 = 120_000;

type Live<'a> = Vec<(&'a EvmNodeFacts, &'a Tips)>;

pub(super) fn nodes(contract: &ContractFacts) -> Vec<Finding> {
    let live: Live<'_> = contract.endpoints.iter().filter_map(|node| Some((node, node.tips.as_ref().ok()?))).collect();
    let mut findings = singly(contract, &live);
    if !live.is_empty() {
        findings.push(forked(contract, &live).unwrap_or_else(|| together(contract, &live)));
    }
    findings.extend(head(contract, &live));
    findings
}

/// As many as must agree, and how far each of them is.
fn together(contract: &ContractFacts, live: &Live<'_>) -> Finding {
    let (subject, of, need) = (named(contract, "nodes"), contract.endpoints.len(), contract.agree);
    let answer = format!("{} of {of} answer, for chain {}", live.len(), contract.proxy.chain);
    if live.len() < need {
        let found = format!("{answer}; contract.agree asks that {need} show the same: nothing is read");
        let remedy = "bring the others back, or name more; lower contract.agree only if fewer are to be believed";
        return fail(subject, found, remedy);
    }
    let far = |(node, Tips { head, last_final, .. }): &(&EvmNodeFacts, &Tips)| {
        format!("{} at block {}, final up to {}", node.name, head.height, last_final.height)
    };
    let far: Vec<_> = live.iter().map(far).collect();
    ok(subject, format!("{answer}: {}", far.join("; ")))
}

/// What is wrong with one of them.
fn singly(contract: &ContractFacts, live: &Live<'_>) -> Vec<Finding> {
    let newest = live.iter().map(|(_, tips)| tips.head.timestamp).max().unwrap_or_default();
    let mut findings = Vec::new();
    for node in &contract.endpoints {
        let subject = named(contract, &format!("node {}", node.name));
        match &node.tips {
            Err(why) => {
                let remedy = "start it, or correct contract.endpoints: address, port, chain id";
                // With others that answer the party works on.
                findings.push(if live.is_empty() {
                    fail(subject, why.clone(), remedy)
                } else {
                    warn(subject, why.clone(), remedy)
                });
            }
            Ok(tips) => {
                let behind = newest.saturating_sub(tips.head.timestamp);
                if behind.saturating_mul(1_000) > HEAD_AGE_MS {
                    let found = format!("its newest block {} is {behind} s older than another's", tips.head.height);
                    findings.push(warn(subject, found, "wait until it has caught up, or look why it does not"));
                } else if node.common.is_none() && live.len() > 1 {
                    let found = "does not show a block that it calls final itself";
                    let remedy = "several nodes may stand behind that address; if it stays so, name another one";
                    findings.push(warn(subject, found, remedy));
                }
            }
        }
    }
    findings
}

fn forked(contract: &ContractFacts, live: &Live<'_>) -> Option<Finding> {
    let hashes: BTreeSet<B256> = live.iter().filter_map(|(node, _)| node.common).collect();
    if hashes.len() < 2 {
        return None;
    }
    let shown = live.iter().filter_map(|(node, _)| Some(format!("{} shows {}", node.name, node.common?)));
    let found = format!("nodes show different final blocks at one height: {}", shown.collect::<Vec<_>>().join(", "));
    let remedy = "find out which one is the chain, and take the others out of contract.endpoints before anything else";
    Some(fail(named(contract, "nodes"), found, remedy))
}

/// The newest block against this machine's clock. Asking took a while, so the clock was read before and after.
fn head(contract: &ContractFacts, live: &Live<'_>) -> Option<Finding> {
    let newest = live.iter().map(|(_, tips)| tips.head).max_by_key(|head| head.timestamp)?;
    let subject = named(contract, "newest block");
    let (before, after) = contract.asked_ms;
    let at = newest.timestamp.saturating_mul(1_000);
    let (age, ahead) = (before.saturating_sub(at), at.saturating_sub(after));
    if ahead > HEAD_AHEAD_MS {
        let found = format!("block {} is {} s ahead of this machine's clock", newest.height, ahead / 1_000);
        let remedy = "set the clock by NTP; if it is right, the node or the chain cannot be trusted";
        return Some(if ahead > HEAD_AHEAD_FAIL_MS {
            fail(subject, found, remedy)
        } else {
            warn(subject, found, remedy)
        });
    }
    let found = format!("block {} is {} s old", newest.height, age / 1_000);
    let remedy = "compare with another node of that chain: it stands still, or these nodes are cut off from it; or this \
                  machine's clock is ahead: set it by NTP";
    Some(if age > HEAD_AGE_FAIL_MS {
        fail(subject, found, remedy)
    } else if age > HEAD_AGE_MS {
        warn(subject, found, remedy)
    } else {
        ok(subject, found)
    })
}
