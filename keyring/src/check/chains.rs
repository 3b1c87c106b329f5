//! The chains: nodes that agree, a keyring with these parties and a threshold that fits, an account that can pay.

use super::{ChainFacts, ChainState, EndpointFacts, Finding, PartyFacts, fail, ok, warn};
use crate::app::skew::{SKEW_MAX_MS, Skew};
use crate::roster::Roster;
use chain_client::{AnswerLoad, Block, GasPrice, KeyringFacts, RequestKind};
use std::collections::BTreeSet;
use transport::ClockOffset;

/// Blocks that one node may be behind another.
const LAG_BLOCKS: u64 = 5;
/// Bytes of an ordinary request's record.
const RECORD_BYTES: u64 = 512;
/// Answers that an account should be able to pay for.
const ANSWERS_AHEAD: u128 = 1_000;
/// Ordinary answers whose price one transaction should be allowed to cost: room for large requests and dearer days.
const CEILING_ROOM: u128 = 4;
/// How old the newest block of a chain may be, or how far from the future.
const BLOCK_AGE_MS: u64 = 15_000;
/// Further apart than this clocks are wrong, not late.
const CLOCK_FAIL_MS: u64 = 120_000;

/// Everything about one chain.
pub(super) fn chain(chain: &ChainFacts, party: &PartyFacts) -> Vec<Finding> {
    let mut findings = endpoints(chain);
    let state = match &chain.state {
        Ok(state) => state,
        Err(why) => {
            let remedy = "mend the endpoints first; keyring and account could not be looked at";
            findings.push(fail(named(chain, "state"), why.clone(), remedy));
            return findings;
        }
    };
    let Some(keyring) = &state.keyring else {
        let found = format!("there is no keyring {}", chain.keyring);
        findings.push(fail(named(chain, "keyring"), found, "correct chain.keyring, or have the keyring made"));
        findings.extend(account(chain, state, None));
        return findings;
    };
    findings.push(keyring_is_active(chain, keyring));
    if let Ok(roster) = &party.roster {
        findings.push(members(chain, keyring, roster));
        findings.push(threshold(chain, keyring, roster));
    }
    findings.extend(account(chain, state, Some(keyring)));
    findings
}

fn named(chain: &ChainFacts, what: &str) -> String {
    format!("{} {what}", chain.id)
}

// === nodes ===

fn endpoints(chain: &ChainFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let heads: Vec<(&EndpointFacts, &Block)> =
        chain.endpoints.iter().filter_map(|node| Some((node, node.head.as_ref().ok()?))).collect();
    let best = heads.iter().map(|(_, head)| head.height.0).max().unwrap_or_default();
    for node in &chain.endpoints {
        let subject = format!("{} node {}", chain.id, node.name);
        match &node.head {
            Err(why) => {
                let remedy = "start it, or correct chain.endpoints: address, port, chain id";
                // With another node that answers the party works on.
                findings.push(if heads.is_empty() {
                    fail(subject, why.clone(), remedy)
                } else {
                    warn(subject, why.clone(), remedy)
                });
            }
            Ok(head) if head.height.0 + LAG_BLOCKS < best => {
                let found = format!("stands at height {}, another at {best}", head.height);
                findings.push(warn(subject, found, "wait until it has caught up, or look why it does not"));
            }
            Ok(_) => {}
        }
    }
    let hashes: BTreeSet<[u8; 32]> = heads.iter().filter_map(|(node, _)| node.common).collect();
    if hashes.len() > 1 {
        let found = "nodes show different blocks at one height: they follow different chains";
        let remedy = "find out which one is the chain, and take the others out of chain.endpoints before anything else";
        findings.push(fail(named(chain, "nodes"), found, remedy));
    }
    if findings.is_empty() {
        let found = format!("{} of {} answer, as {}, at height {best}", heads.len(), chain.endpoints.len(), chain.id);
        findings.push(ok(named(chain, "nodes"), found));
    }
    findings
}

/// This machine's clock against its peers', or against the newest block where no peer is known.
pub(super) fn clock(party: &PartyFacts) -> Finding {
    const SUBJECT: &str = "clock";
    let offsets = party.peers.values().filter_map(|peer| peer.ahead_ms);
    if let Some(skew) = Skew::of(offsets.map(|ahead_ms| ClockOffset { ahead_ms, error_ms: 0 })) {
        let found =
            format!("the middle of {} peers' clocks is {:+} ms ahead of this one", skew.peers, skew.peers_ahead_ms);
        let remedy = "set the clock by NTP; if it is right, tell the other operators";
        return far(SUBJECT, skew.peers_ahead_ms.unsigned_abs(), SKEW_MAX_MS, found, remedy);
    }
    let nodes = party.chains.iter().flat_map(|chain| &chain.endpoints);
    let ahead = nodes.filter_map(|node| {
        let wall = i64::try_from(node.wall_ms).ok()?;
        Some(node.head.as_ref().ok()?.time_unix_ms.saturating_sub(wall))
    });
    // The newest block of the liveliest chain: blocks are always a little old.
    let Some(ahead) = ahead.max() else {
        return warn(SUBJECT, "nothing to compare it with: no peer and no chain answers", "mend these first");
    };
    let found =
        format!("the newest block is {ahead:+} ms ahead of it (blocks are a little old); no peer's clock is known");
    let remedy =
        "a block from the future: set the clock by NTP. An old one: the chain stands still, or this clock is ahead";
    far(SUBJECT, ahead.unsigned_abs(), BLOCK_AGE_MS, found, remedy)
}

fn far(subject: &str, apart_ms: u64, warn_ms: u64, found: String, remedy: &str) -> Finding {
    if apart_ms > CLOCK_FAIL_MS {
        fail(subject, found, remedy)
    } else if apart_ms > warn_ms {
        warn(subject, found, remedy)
    } else {
        ok(subject, found)
    }
}

// === keyring ===

fn keyring_is_active(chain: &ChainFacts, keyring: &KeyringFacts) -> Finding {
    let fees = format!("fees {} urock a key, {} a signature", keyring.key_fee_urock, keyring.signature_fee_urock);
    if keyring.active {
        ok(named(chain, "keyring"), format!("{} is active; {fees}", keyring.address))
    } else {
        let remedy = "have its administrator switch it on; an answer while it is off would reject its request";
        fail(named(chain, "keyring"), format!("{} is switched off; {fees}", keyring.address), remedy)
    }
}

/// Every account of the roster is a party there, and nobody else.
fn members(chain: &ChainFacts, keyring: &KeyringFacts, roster: &Roster) -> Finding {
    let subject = named(chain, "members");
    let listed: BTreeSet<&str> = keyring.parties.iter().map(String::as_str).collect();
    let ours = |entry: &crate::roster::RosterEntry| entry.accounts.get(&chain.id).cloned();
    let without: Vec<_> =
        roster.parties().iter().filter(|entry| ours(entry).is_none()).map(|entry| entry.name.clone()).collect();
    if !without.is_empty() {
        let found = format!("the roster names no account on {} for {}", chain.id, without.join(", "));
        return fail(subject, found, "hold a new ceremony in which every entry names an account on every chain");
    }
    let missing: Vec<_> = roster
        .parties()
        .iter()
        .filter(|entry| ours(entry).is_none_or(|account| !listed.contains(account.as_str())))
        .map(|entry| format!("{} ({})", entry.name, ours(entry).unwrap_or_default()))
        .collect();
    if !missing.is_empty() {
        let found = format!("not listed as parties of the keyring: {}", missing.join(", "));
        return fail(subject, found, "have the keyring's administrator add them");
    }
    let strangers: Vec<_> =
        listed.iter().filter(|account| roster.index_of_account(&chain.id, account).is_none()).copied().collect();
    if strangers.is_empty() {
        ok(subject, format!("all {} accounts of the roster are parties of the keyring, and nobody else", listed.len()))
    } else {
        let remedy = "have the administrator strike them; before a change of roster they may stand there for a while";
        fail(subject, format!("parties of the keyring that the roster does not know: {}", strangers.join(", ")), remedy)
    }
}

/// `t ≤ p ≤ Q`.
fn threshold(chain: &ChainFacts, keyring: &KeyringFacts, roster: &Roster) -> Finding {
    let (t, p, q) =
        (u64::from(roster.threshold().need()), u64::from(keyring.party_threshold.max(1)), roster.quorum() as u64);
    let subject = named(chain, "threshold");
    let found = format!("the keyring's party threshold is {p}; {t} sign, {q} agree");
    let remedy = format!("have the administrator set the keyring's party threshold between {t} and {q}");
    if p < t {
        let found = format!("{found}: {p} liars could put a key of their own under a user's name");
        fail(subject, found, remedy)
    } else if p > q {
        fail(subject, format!("{found}: what {q} decide, the chain would not take as answered"), remedy)
    } else {
        ok(subject, found)
    }
}

// === account ===

fn account(chain: &ChainFacts, state: &ChainState, keyring: Option<&KeyringFacts>) -> Vec<Finding> {
    let subject = named(chain, "account");
    let Some(address) = &chain.account else {
        return vec![fail(subject, "its key cannot be read", "mend the secret chain.account first")];
    };
    let Some(facts) = state.account else {
        let found = format!("{address} does not exist: it never held anything");
        return vec![fail(subject, found, format!("have {address} funded by an ordinary transfer"))];
    };
    let mut findings = vec![ok(subject, format!("{address}, number {}, sequence {}", facts.number, facts.sequence))];
    let price = match &state.price {
        Ok(price) => *price,
        Err(why) => {
            findings.push(fail(named(chain, "gas price"), why.clone(), "nothing is published until it can be read"));
            return findings;
        }
    };
    findings.push(ceiling(chain, price));
    findings.push(funds(chain, state.balance_urock, price, keyring));
    findings
}

/// Gas of an ordinary answer.
fn gas(kind: RequestKind, keyring_fee: u64) -> u64 {
    AnswerLoad { kind, record_bytes: RECORD_BYTES, parent_bytes: 0, takes_fee: keyring_fee > 0 }.gas_limit()
}

fn ceiling(chain: &ChainFacts, price: GasPrice) -> Finding {
    let subject = named(chain, "gas price");
    let gas = gas(RequestKind::Key, 1).max(gas(RequestKind::Signature, 1));
    let cost = price.of(gas).unwrap_or(u128::MAX);
    let ceiling = chain.fees.ceiling_urock;
    let found = format!("an ordinary answer costs {cost} urock of gas, chain.fee_ceiling_urock is {ceiling}");
    if chain.fees.charge(gas, price).is_err() {
        fail(subject, found, "raise the ceiling, or wait for a lower price; nothing is published until then")
    } else if cost.saturating_mul(CEILING_ROOM) > ceiling {
        warn(subject, found, "raise the ceiling: large requests and dearer days find no room under it")
    } else {
        ok(subject, found)
    }
}

fn funds(chain: &ChainFacts, balance: u128, price: GasPrice, keyring: Option<&KeyringFacts>) -> Finding {
    let subject = named(chain, "funds");
    let fees = keyring.map_or((0, 0), |keyring| (keyring.key_fee_urock, keyring.signature_fee_urock));
    let cost = [(RequestKind::Key, fees.0), (RequestKind::Signature, fees.1)]
        .map(|(kind, fee)| {
            price.of(gas(kind, fee)).unwrap_or(u128::MAX).max(chain.fees.floor_urock).saturating_add(fee.into())
        })
        .into_iter()
        .max()
        .unwrap_or_default();
    if cost == 0 {
        return ok(subject, format!("{balance} urock; answers cost nothing"));
    }
    let answers = balance / cost;
    let found = format!(
        "{balance} urock, enough for {answers} answers of at most {cost} urock each (gas, and the keyring's fee)"
    );
    let wanted = cost.saturating_mul(ANSWERS_AHEAD).saturating_sub(balance);
    let remedy = format!("send it {wanted} urock, then it lasts for {ANSWERS_AHEAD} answers");
    if answers == 0 {
        fail(subject, found, remedy)
    } else if answers < ANSWERS_AHEAD {
        warn(subject, found, remedy)
    } else {
        ok(subject, found)
    }
}
