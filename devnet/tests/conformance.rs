//! The development chain against a recorded live one: the same bytes in at the same heights, the same answers out.
//!
//! Compared exactly: codes, code spaces, response data, events, states, pages, balances, statuses. Of log texts only
//! those that clients match on; of reject reasons whether there is one, and the texts of expiry and of messages. Gas to
//! within a few in a hundred, so that the same limit runs out where it did. The recording itself has left out what moves
//! by other rules (balances of validators and of some modules).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chain_client::proto::cosmos::base::abci::v1beta1::TxMsgData;
use chain_client::proto::cosmos::tx::v1beta1::{BroadcastTxRequest, BroadcastTxResponse, GetTxResponse, TxBody, TxRaw};
use chain_client::proto::zrchain::treasury as proto;
use devnet::chain::{Chain, Event, Genesis, QueryStatus, TxResult};
use prost::{Message, Name};
use serde_json::Value;

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../chain-client/tests/fixtures/zrchain")
}

/// How far the gas of a transaction may be from the recorded one; most are met to within one in a hundred.
const GAS_PERCENT: u64 = 7;

struct Replay {
    chain: Chain,
    lines: Vec<Value>,
    /// Results by height and hash.
    results: BTreeMap<(u64, String), TxResult>,
    block_events: BTreeMap<u64, Vec<Event>>,
    mismatches: Vec<String>,
    compared: BTreeMap<&'static str, usize>,
    /// Reject reasons that messages have carried so far.
    carried: BTreeSet<String>,
}

impl Replay {
    fn open() -> Self {
        let genesis = Genesis::read(&recording().join("genesis.json")).expect("genesis");
        let text = std::fs::read_to_string(recording().join("replay.jsonl")).expect("recording");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        Self {
            chain: Chain::from_genesis(&genesis).expect("chain"),
            lines,
            results: BTreeMap::new(),
            block_events: BTreeMap::new(),
            mismatches: Vec::new(),
            compared: BTreeMap::new(),
            carried: BTreeSet::new(),
        }
    }

    fn make_block(&mut self) {
        let time = Duration::from_secs(1_700_000_000 + self.chain.height());
        let outcome = self.chain.make_block(time).expect("a block");
        for result in outcome.transactions {
            self.results.insert((outcome.height, result.hash_text()), result);
        }
        self.block_events.insert(outcome.height, outcome.events);
    }

    fn make_blocks_to(&mut self, height: u64) {
        while self.chain.height() < height {
            self.make_block();
        }
    }

    fn differ(&mut self, line: usize, what: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) {
        let label = self.lines[line]["label"].as_str().or(self.lines[line]["rpc"].as_str()).unwrap_or("").to_owned();
        self.mismatches.push(format!("line {}: {label}: {what}\n  expected {expected}\n  got      {got}", line + 1));
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, line: usize, what: &'static str, expected: T, got: T) {
        *self.compared.entry(what).or_default() += 1;
        if expected != got {
            self.differ(line, what, format!("{expected:?}"), format!("{got:?}"));
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

/// Log texts that clients match on; others may be worded differently.
fn matched_log(log: &str) -> Option<String> {
    let parts = ["account sequence mismatch, expected", "insufficient fees; got:", "only one party of the keyring"];
    if let Some(start) = parts.iter().find_map(|part| log.find(part)) {
        return Some(log[start..].to_owned());
    }
    log.contains("not found").then(|| "not found".to_owned())
}

#[test]
fn the_recorded_live_chain_is_met() {
    let mut replay = Replay::open();
    let lines = replay.lines.clone();
    // The block of a height is made as soon as its last transaction has been broadcast.
    let mut last_of_height: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        if let Some(height) = line["result"]["height"].as_u64() {
            last_of_height.insert(height, place);
        }
    }
    for (place, line) in lines.iter().enumerate() {
        match text(line, "kind") {
            "tx" => transaction(&mut replay, place, line, &last_of_height),
            "query" => query(&mut replay, place, line),
            "block" => block(&mut replay, place, line),
            other => panic!("unknown kind {other}"),
        }
    }
    no_other_block_events(&mut replay, &lines);
    found_transactions(&mut replay);
    println!("compared: {:?}", replay.compared);
    let count = replay.mismatches.len();
    assert!(count == 0, "{count} mismatches:\n{}", replay.mismatches.join("\n"));
}

fn transaction(replay: &mut Replay, place: usize, line: &Value, last_of_height: &BTreeMap<u64, usize>) {
    let result = &line["result"];
    let height = result["height"].as_u64();
    if let Some(height) = height {
        replay.make_blocks_to(height - 1);
    }
    let bytes = hex::decode(text(line, "tx")).expect("hex");
    replay.carried.extend(carried_reasons(&bytes));
    let mode = i32::try_from(line["mode"].as_i64().expect("mode")).expect("mode");
    let request = BroadcastTxRequest { tx_bytes: bytes, mode }.encode_to_vec();
    match (replay.chain.broadcast(&request), line.get("grpc").filter(|grpc| !grpc.is_null())) {
        (Err(error), Some(expected)) => {
            replay.equal(place, "broadcast status", text(expected, "status").to_owned(), status_text(error.status));
        }
        (Ok(reply), None) => {
            let reply = BroadcastTxResponse::decode(reply.as_slice()).expect("reply").tx_response.expect("response");
            let check = &line["check"];
            let expected = (check["code"].as_u64().expect("code"), text(check, "codespace").to_owned());
            replay.equal(place, "check code", expected, (reply.code.into(), reply.codespace));
            replay.equal(place, "check log", matched_log(text(check, "log")), matched_log(&reply.raw_log));
            replay.equal(place, "hash", text(line, "hash").to_owned(), reply.txhash);
        }
        (got, expected) => replay.differ(place, "broadcast", format!("{expected:?}"), format!("{got:?}")),
    }
    let Some(height) = height else { return };
    if last_of_height.get(&height) == Some(&place) {
        replay.make_block();
        for (earlier, line) in replay.lines.clone().iter().enumerate().take(place + 1) {
            if line["result"]["height"].as_u64() == Some(height) {
                executed(replay, earlier, line, height);
            }
        }
    }
}

fn executed(replay: &mut Replay, place: usize, line: &Value, height: u64) {
    let result = &line["result"];
    let Some(got) = replay.results.get(&(height, text(line, "hash").to_owned())).cloned() else {
        replay.differ(place, "execution", "in the block", "not in the block");
        return;
    };
    let expected = (result["code"].as_u64().expect("code"), text(result, "codespace").to_owned());
    replay.equal(place, "code", expected, (got.code.into(), got.codespace.to_owned()));
    replay.equal(place, "log", matched_log(text(result, "log")), matched_log(&got.log));
    let data = TxMsgData { msg_responses: got.responses.clone(), ..TxMsgData::default() };
    replay.equal(place, "data", text(result, "data").to_owned(), hex::encode_upper(data.encode_to_vec()));
    replay.equal(place, "events", recorded_events(&result["events"]), told_events(&got.events));
    replay.equal(place, "gas wanted", result["gas_wanted"].as_u64().expect("gas"), got.gas_wanted);
    let (recorded, used) = (result["gas_used"].as_u64().expect("gas"), got.gas_used);
    replay.compared.entry("gas").and_modify(|count| *count += 1).or_insert(1);
    if used.abs_diff(recorded) * 100 > recorded * GAS_PERCENT {
        replay.differ(place, "gas used", recorded, used);
    }
}

type Told = Vec<(String, Vec<(String, String)>)>;

/// The recording keeps request, key, workspace and action events only.
fn told_events(events: &[Event]) -> Told {
    let kept = events.iter().filter(|event| !matches!(event.name.as_str(), "tx" | "message"));
    kept.map(|event| (event.name.clone(), event.attributes.clone())).collect()
}

fn recorded_events(value: &Value) -> Told {
    let pair = |pair: &Value| (pair[0].as_str().expect("text").to_owned(), pair[1].as_str().expect("text").to_owned());
    let event = |event: &Value| {
        let attributes = event[1].as_array().expect("attributes").iter().map(pair).collect();
        (event[0].as_str().expect("name").to_owned(), attributes)
    };
    value.as_array().map(|events| events.iter().map(event).collect()).unwrap_or_default()
}

fn status_text(status: QueryStatus) -> String {
    match status {
        QueryStatus::Unknown => "UNKNOWN",
        QueryStatus::InvalidArgument => "INVALID_ARGUMENT",
        QueryStatus::NotFound => "NOT_FOUND",
        QueryStatus::Unimplemented => "UNIMPLEMENTED",
    }
    .to_owned()
}

fn query(replay: &mut Replay, place: usize, line: &Value) {
    let (rpc, request) = (text(line, "rpc"), hex::decode(text(line, "request")).expect("hex"));
    let height: Option<u64> = line["height"].as_str().map(|height| height.parse().expect("height"));
    if let Some(height) = height {
        replay.make_blocks_to(height);
    }
    let asked = height.or(Some(u64::MAX));
    match (replay.chain.query(rpc, &request, asked), text(line, "status")) {
        (Ok((_, _)), "OK") if rpc.ends_with("/Simulate") => {}
        (Ok((reply, at)), "OK") => {
            if let Some(height) = height {
                replay.equal(place, "height", height, at);
            }
            let expected = hex::decode(text(line, "response")).expect("hex");
            let (expected, reply) = comparable(&replay.carried, rpc, &expected, &reply);
            replay.equal(place, "reply", expected, reply);
        }
        (Err(error), status) if status != "OK" => {
            replay.equal(place, "status", status.to_owned(), status_text(error.status));
            // A live node says the height with an error too, unless the height was the error.
            replay.equal(place, "height", height, error.height);
        }
        (Err(error), status) => replay.differ(place, "status", status, error),
        (Ok(_), status) => replay.differ(place, "status", status, "OK"),
    }
}

/// Reject reasons of the chain's own wording need only be there; those of expiry and of messages must be the same.
fn ease(carried: &BTreeSet<String>, expected: &mut String, got: &mut String) {
    let fixed = expected.ends_with("request timed out") || carried.iter().any(|reason| expected.ends_with(reason));
    if !fixed && !expected.is_empty() && !got.is_empty() {
        got.clone_from(expected);
    }
}

/// Replies as they must be met: to the byte, but for reject reasons.
fn comparable(carried: &BTreeSet<String>, rpc: &str, expected: &[u8], got: &[u8]) -> (String, String) {
    macro_rules! requests {
        ($reply:ty, $field:ident) => {{
            let mut expected = <$reply>::decode(expected).expect("recorded reply");
            let mut got = <$reply>::decode(got).expect("reply");
            for (expected, got) in expected.$field.iter_mut().zip(&mut got.$field) {
                ease(carried, &mut expected.reject_reason, &mut got.reject_reason);
            }
            (hex::encode(expected.encode_to_vec()), hex::encode(got.encode_to_vec()))
        }};
    }
    match rpc.rsplit('/').next().unwrap_or("") {
        "KeyRequestByID" => requests!(proto::QueryKeyRequestByIdResponse, key_request),
        "KeyRequests" => requests!(proto::QueryKeyRequestsResponse, key_requests),
        "SignatureRequestByID" => requests!(proto::QuerySignatureRequestByIdResponse, sign_request),
        "SignatureRequests" => requests!(proto::QuerySignatureRequestsResponse, sign_requests),
        _ => (hex::encode(expected), hex::encode(got)),
    }
}

/// The reasons that a transaction's messages carry.
fn carried_reasons(bytes: &[u8]) -> Vec<String> {
    let body = TxRaw::decode(bytes).ok().and_then(|raw| TxBody::decode(raw.body_bytes.as_slice()).ok());
    let mut reasons = Vec::new();
    for any in body.unwrap_or_default().messages {
        if any.type_url == proto::MsgFulfilSignatureRequest::type_url() {
            let message = proto::MsgFulfilSignatureRequest::decode(any.value.as_slice()).expect("message");
            reasons.push(message.reject_reason);
        } else if any.type_url == proto::MsgFulfilKeyRequest::type_url() {
            let message = proto::MsgFulfilKeyRequest::decode(any.value.as_slice()).expect("message");
            if let Some(proto::msg_fulfil_key_request::Result::RejectReason(reason)) = message.result {
                reasons.push(reason);
            }
        }
    }
    reasons.retain(|reason| !reason.is_empty());
    reasons
}

fn block(replay: &mut Replay, place: usize, line: &Value) {
    let height = line["height"].as_u64().expect("height");
    replay.make_blocks_to(height);
    let got = replay.block_events.get(&height).cloned().unwrap_or_default();
    replay.equal(place, "block events", recorded_events(&line["events"]), told_events(&got));
}

/// The recorded reply about a transaction that was found, but for its time, its gas and the events of other modules.
fn found_transactions(replay: &mut Replay) {
    let text_of = std::fs::read_to_string(recording().join("sdk.jsonl")).expect("recording");
    let path = "/cosmos.tx.v1beta1.Service/GetTx";
    for line in text_of.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line")) {
        if text(&line, "rpc") != path || text(&line, "status") != "OK" {
            continue;
        }
        let request = hex::decode(text(&line, "request")).expect("hex");
        let (reply, _) = replay.chain.query(path, &request, None).expect("found");
        let recorded = hex::decode(text(&line, "response")).expect("hex");
        let [expected, got] = [recorded, reply].map(|reply| {
            let mut reply = GetTxResponse::decode(reply.as_slice()).expect("a reply");
            let response = reply.tx_response.as_mut().expect("a response");
            response.timestamp.clear();
            response.gas_used = 0;
            response.events.clear();
            reply
        });
        replay.equal(0, "found transaction", expected, got);
    }
}

/// Blocks that the recording says nothing of raised nothing.
fn no_other_block_events(replay: &mut Replay, lines: &[Value]) {
    let recorded: Vec<u64> =
        lines.iter().filter(|line| text(line, "kind") == "block").filter_map(|line| line["height"].as_u64()).collect();
    let last = recorded.iter().copied().max().unwrap_or(0);
    for (height, events) in replay.block_events.clone() {
        if height <= last && !recorded.contains(&height) && !events.is_empty() {
            replay.differ(lines.len() - 1, "block events", format!("none at {height}"), format!("{events:?}"));
        }
    }
}
