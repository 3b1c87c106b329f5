//! Facts as tables for people.

use crate::admin::proto::{
    Chain, Contract, Endpoint, Key, KeysReply, Lane, Peer, Request, RequestsReply, StatusReply, WhyReply,
};
use comfy_table::{Table, presets};
use std::fmt::Display;

/// Stands in for what is not known.
const NOTHING: &str = "-";

pub(super) fn status(status: &StatusReply) -> String {
    let StatusReply { name, party, epoch, need, of, quorum, .. } = status;
    let development = if status.development { ", with development shortcuts: never for money" } else { "" };
    let roster = format!("epoch {epoch}, {need} of {of}, quorum {quorum}, {}", short(&status.roster));
    let mut facts = vec![("party", format!("{name} (place {party})"))];
    let why_not: Vec<&str> = status.not_ready.iter().map(|reason| reason.name.as_str()).collect();
    facts.push(("ready", if status.ready { "yes".to_owned() } else { format!("no: {}", why_not.join(", ")) }));
    facts.extend(status.not_ready.iter().map(|reason| (reason.name.as_str(), reason.text.clone())));
    facts.extend(status.degraded.iter().map(|reason| (reason.name.as_str(), reason.text.clone())));
    facts.extend([
        ("roster", roster),
        ("journal", format!("position {}, head {}", status.journal_position, short(&status.journal_head))),
        ("work", format!("{} open requests, {} runs", status.requests_open, status.runs)),
        (
            "clock",
            if status.clock_warning.is_empty() {
                "agrees with the peers'".to_owned()
            } else {
                status.clock_warning.clone()
            },
        ),
        ("program", format!("{}, up {}{development}", status.version, span(status.uptime_ms))),
    ]);
    let text = lines(&facts);
    let tables = [
        peers(&status.peers),
        chains(&status.chains),
        contracts(&status.contracts),
        endpoints(&status.chains),
        shelf(&status.shelf),
    ];
    tables.iter().filter(|table| !table.is_empty()).fold(text, |text, table| text + "\n" + &drawn(table))
}

pub(super) fn keys(reply: &KeysReply) -> String {
    let mut table = table(["key", "suite", "state", "lane", "epoch", "request", "public key"]);
    for Key { id, suite, public_key, epoch, lane, state, request } in &reply.keys {
        let (lane, epoch) = (lane.to_string(), epoch.to_string());
        table.add_row([short(id), suite.clone(), state.clone(), lane, epoch, known(request), public_key.clone()]);
    }
    listed(&table, reply.keys.last().map(|key| key.id.as_str()), reply.more)
}

pub(super) fn requests(reply: &RequestsReply) -> String {
    let header =
        ["request", "state", "attempt", "seen", "deadline", "decided ms", "broadcast ms", "transaction", "reason"];
    let mut table = table(header);
    for request in &reply.requests {
        table.add_row([
            request.name.clone(),
            request.state.clone(),
            request.attempt.to_string(),
            request.seen.to_string(),
            height(request.deadline),
            maybe(request.decided_after_ms),
            maybe(request.broadcast_after_ms),
            short(&request.transaction),
            known(&request.reason),
        ]);
    }
    listed(&table, reply.requests.last().map(|request| request.name.as_str()), reply.more)
}

pub(super) fn why(reply: &WhyReply) -> String {
    let mut facts = reply.request.as_ref().map(request_facts).unwrap_or_default();
    facts.extend(reply.lines.iter().map(|line| (line.about.as_str(), line.text.clone())));
    lines(&facts)
}

fn request_facts(request: &Request) -> Vec<(&str, String)> {
    vec![
        ("request", request.name.clone()),
        ("state", request.state.clone()),
        ("reason", known(&request.reason)),
        ("attempt", request.attempt.to_string()),
        ("seen at height", request.seen.to_string()),
        ("deadline", height(request.deadline)),
        ("decided after ms", maybe(request.decided_after_ms)),
        ("broadcast after ms", maybe(request.broadcast_after_ms)),
        ("transaction", known(&request.transaction)),
    ]
}

/// The peers alone.
pub(super) fn peer_list(list: &[Peer]) -> String {
    drawn(&peers(list))
}

fn peers(peers: &[Peer]) -> Table {
    let header =
        ["peer", "place", "link", "lease", "round trip", "clock", "queued", "frames in", "frames out", "fault"];
    let mut table = table(header);
    for peer in peers {
        let milliseconds = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
        table.add_row([
            peer.name.clone(),
            peer.party.to_string(),
            if peer.up { "up" } else { "down" }.to_owned(),
            match (peer.fenced, peer.known) {
                _ if !peer.asks_to_come_back.is_empty() => "ASKS",
                (true, _) => "FENCED",
                (false, true) => "known",
                (false, false) => "unknown",
            }
            .to_owned(),
            maybe(peer.round_trip_us.map(milliseconds)),
            maybe(peer.clock_offset_ms.map(|ms| format!("{ms:+} ms"))),
            peer.queued_frames.to_string(),
            peer.frames_in.to_string(),
            peer.frames_out.to_string(),
            known(&peer.fault),
        ]);
    }
    table
}

fn chains(chains: &[Chain]) -> Table {
    let mut table = table(["chain", "height", "account", "in flight", "waiting", "publishes"]);
    for chain in chains {
        let publishes = if chain.halted.is_empty() { "yes".to_owned() } else { format!("no: {}", chain.halted) };
        table.add_row([
            chain.id.clone(),
            height(chain.height),
            chain.account.clone(),
            chain.outbox_in_flight.to_string(),
            chain.outbox_waiting.to_string(),
            publishes,
        ]);
    }
    table
}

fn contracts(contracts: &[Contract]) -> Table {
    let header = ["contract", "read to", "controller", "account", "balance wei", "in flight", "waiting", "serves"];
    let mut table = table(header);
    for contract in contracts {
        table.add_row([
            contract.proxy.clone(),
            height(contract.read),
            known(&contract.controller),
            contract.account.clone(),
            known(&contract.balance_wei),
            contract.in_flight.to_string(),
            contract.waiting.to_string(),
            if contract.halted.is_empty() { "yes".to_owned() } else { format!("no: {}", contract.halted) },
        ]);
    }
    table
}

fn endpoints(chains: &[Chain]) -> Table {
    let mut table = table(["endpoint", "chain", "height", "failures", "state"]);
    for chain in chains {
        for Endpoint { name, height: shown, failures, resting } in &chain.endpoints {
            let state = if *resting { "resting" } else { "in use" }.to_owned();
            table.add_row([name.clone(), chain.id.clone(), height(*shown), failures.to_string(), state]);
        }
    }
    table
}

fn shelf(lanes: &[Lane]) -> Table {
    let mut table = table(["shelf lane", "suite", "free keys"]);
    for Lane { party, suite, free } in lanes {
        table.add_row([party.to_string(), suite.clone(), free.to_string()]);
    }
    table
}

// === pieces ===

pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

/// Columns two blanks apart, without a margin.
pub(super) fn drawn(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn listed(table: &Table, last: Option<&str>, more: bool) -> String {
    let text = if table.is_empty() { "none\n".to_owned() } else { drawn(table) };
    match last {
        Some(last) if more => format!("{text}more: --after {last}\n"),
        _ => text,
    }
}

/// One fact a line, names in a column.
pub(super) fn lines(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    facts.iter().map(|(name, fact)| format!("{name:<width$}  {fact}\n")).collect()
}

fn short(hex: &str) -> String {
    match hex.get(..12) {
        Some(begin) if hex.len() > 16 => format!("{begin}…"),
        _ => known(hex),
    }
}

fn known(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

fn maybe(value: Option<impl Display>) -> String {
    value.map_or(NOTHING.to_owned(), |value| value.to_string())
}

fn height(height: u64) -> String {
    if height == 0 { NOTHING.to_owned() } else { height.to_string() }
}

fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::proto::{Line, Reason};

    #[test]
    fn a_node_that_does_not_contribute_says_so_and_why() {
        let told = status(&StatusReply {
            name: "alpha".to_owned(),
            not_ready: vec![Reason { name: "chain_unread".to_owned(), text: "zenrock was not read yet".to_owned() }],
            degraded: vec![Reason { name: "shelf_empty".to_owned(), text: "no key".to_owned() }],
            peers: vec![Peer { name: "beta".to_owned(), round_trip_us: Some(1_250), ..Peer::default() }],
            ..StatusReply::default()
        });
        assert!(told.contains("no: chain_unread\n"), "{told}");
        assert!(
            told.lines().any(|line| line.starts_with("chain_unread") && line.ends_with("zenrock was not read yet"))
        );
        assert!(told.lines().any(|line| line.starts_with("shelf_empty") && line.ends_with("no key")), "{told}");
        assert!(told.contains("beta") && told.contains("down") && told.contains("1.2 ms"), "{told}");
    }

    #[test]
    fn a_list_with_more_tells_how_to_go_on_and_an_empty_one_says_so() {
        let seven = Request { name: "zenrock/key/7".to_owned(), ..Request::default() };
        let told = requests(&RequestsReply { requests: vec![seven], more: true });
        assert!(told.ends_with("more: --after zenrock/key/7\n"), "{told}");
        assert_eq!(requests(&RequestsReply::default()), "none\n");
        assert_eq!(keys(&KeysReply::default()), "none\n");
    }

    #[test]
    fn why_tells_its_lines_in_their_order() {
        let line = |about: &str, text: &str| Line { about: about.to_owned(), text: text.to_owned() };
        let told = why(&WhyReply {
            request: Some(Request { state: "parked".to_owned(), ..Request::default() }),
            lines: vec![line("attempt 0", "led by beta"), line("attempt 1", "led by gamma")],
        });
        assert!(told.find("parked") < told.find("led by beta"), "{told}");
        assert!(told.find("led by beta") < told.find("led by gamma"), "{told}");
    }

    #[test]
    fn spans_are_told_as_people_say_them() {
        let told = [5_000, 65_000, 3_700_000, 90_000_000].map(span);
        assert_eq!(told, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
