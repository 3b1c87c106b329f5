//! Endpoints that do not answer as they should, whatever they are asked: named, rested, replaced by others.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chain_client::zrsign::evm::{EvmChain, EvmError, EvmSettings};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::{AT_ONCE, address_of, honest, quick};
use crate::liar::{Liar, Said};
use crate::node::CHAIN;
use crate::world::{Version, World};

fn behind(liar: &Liar) -> EvmChain {
    EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, quick()).unwrap()
}

/// Rests that a test can wait for, and within which a busy machine does what it must.
fn short_rest() -> EvmSettings {
    EvmSettings { rest: Duration::from_millis(1_500), rest_max: Duration::from_millis(2_500), ..quick() }
}

fn resting(liar: &Liar) -> EvmChain {
    EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, short_rest()).unwrap()
}

/// Bytes in place of every reply.
fn bytes(status: u16, body: &'static [u8]) -> impl Fn(&str, &Value, &mut Value) -> Said {
    move |_, _, _| Said::Bytes(status, None, body.to_vec())
}

#[tokio::test]
async fn another_chain_is_asked_nothing_else() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let chain = behind(&liar);
    liar.changes("eth_chainId", |_, id| *id = json!("0x1"));
    let error = chain.tips().await.unwrap_err();
    assert!(matches!(&error, EvmError::Malformed { what, .. } if what == "it serves chain 1, not 31337"), "{error}");
    assert_eq!(liar.heard(), ["eth_chainId"]);
    liar.is_honest();
    chain.tips().await.unwrap();
    assert_eq!(liar.heard()[0], "eth_chainId", "once it was wrong, it is asked again");
    chain.tips().await.unwrap();
    assert!(!liar.heard().contains(&"eth_chainId".to_owned()), "and not for every question");
    // What stands behind an address may change while it fails.
    liar.lies(bytes(500, b"restarting"));
    chain.tips().await.unwrap_err();
    liar.changes("eth_chainId", |_, id| *id = json!("0x1"));
    assert!(matches!(chain.tips().await.unwrap_err(), EvmError::Malformed { .. }));
}

#[tokio::test]
async fn replies_that_are_none() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let chain = behind(&liar);
    chain.tips().await.unwrap();
    let malformed: [(&'static [u8], &str); 6] = [
        (b"", "no JSON-RPC"),
        (b"<html>please log in</html>", "no JSON-RPC"),
        (br#"{"jsonrpc":"2.0","id":"#, "no JSON-RPC"),
        (br#"{"jsonrpc":"2.0","id":123456789,"result":"0x7a69"}"#, "the reply to another question"),
        (br#"{"jsonrpc":"2.0","id":null,"result":"0x7a69"}"#, "the reply to another question"),
        (br#"[{"jsonrpc":"2.0","id":0,"result":"0x7a69"}]"#, "several replies to one question"),
    ];
    for (body, words) in malformed {
        liar.lies(bytes(200, body));
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(&error, EvmError::Malformed { what, .. } if what.starts_with(words)), "{error}");
        liar.is_honest();
        chain.tips().await.unwrap();
    }
    for wrong in [json!("0x1"), json!([]), json!({ "number": "0x1" }), json!(true)] {
        let shown = wrong.to_string();
        liar.changes("eth_getBlockByNumber", move |_, block| *block = wrong.clone());
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(error, EvmError::Malformed { .. }), "{shown}: {error}");
    }
}

#[tokio::test]
async fn refusals_and_failures_of_the_server() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let chain = behind(&liar);
    for status in [500, 502, 503, 302] {
        liar.lies(bytes(status, b"sorry"));
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(error, EvmError::Unreachable { .. }), "{status}: {error}");
    }
    for status in [401, 403, 404] {
        liar.lies(bytes(status, b"no"));
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(error, EvmError::Refused { code, .. } if code == i64::from(status)), "{status}: {error}");
    }
    // JSON-RPC's own no, under whatever status, cut.
    liar.lies(|_, _, reply| {
        *reply =
            json!({ "jsonrpc": "2.0", "id": reply["id"], "error": { "code": -32601, "message": "x".repeat(5000) } });
        Said::Bytes(400, None, serde_json::to_vec(reply).unwrap())
    });
    let error = chain.tips().await.unwrap_err();
    let EvmError::Refused { code: -32601, reason, .. } = error else { panic!("{error}") };
    assert!(reason.len() < 600);
    liar.is_honest();
    chain.tips().await.unwrap();
}

#[tokio::test]
async fn silence_and_nobody() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let settings = EvmSettings { call_timeout: Duration::from_millis(1_500), ..quick() };
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, settings).unwrap();
    liar.lies(|_, _, _| Said::Nothing);
    let error = chain.tips().await.unwrap_err();
    assert!(matches!(&error, EvmError::Unreachable { reason, .. } if reason == "no reply within 1.5s"), "{error}");
    liar.is_honest();
    chain.tips().await.unwrap();

    // Nobody listens there; and TLS is asked of one who does not speak it.
    let (plain, nobody) = (address_of(&world), free_port().await);
    let tls = plain.as_str().replace("http:", "https:");
    for address in [nobody.as_str(), tls.as_str()] {
        let chain = EvmChain::new(CHAIN, &[address.parse().unwrap()], AT_ONCE, settings).unwrap();
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(error, EvmError::Unreachable { .. }), "{error}");
        assert_eq!(format!("{}/", error.endpoint()), address);
    }
}

async fn free_port() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// A moment's fault is waited out, with pauses, and not for ever.
#[tokio::test]
async fn a_passing_fault_is_asked_again_some_rounds() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let settings = EvmSettings { rounds: 3, pause_min: Duration::from_millis(20), ..quick() };
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, settings).unwrap();
    for (faults, is_answered) in [(2, true), (3, false)] {
        chain.tips().await.unwrap();
        liar.heard();
        let left = AtomicU32::new(faults);
        liar.lies(move |_, _, _| {
            let is_left = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            if is_left { Said::Bytes(502, None, Vec::new()) } else { Said::Reply }
        });
        let begun = Instant::now();
        assert_eq!(chain.tips().await.is_ok(), is_answered, "{faults} faults");
        assert!(begun.elapsed() >= Duration::from_millis(2 * 20));
        liar.is_honest();
    }
    // A reply that cannot be trusted gets no better by waiting.
    liar.heard();
    liar.lies(bytes(200, b"garbage"));
    chain.tips().await.unwrap_err();
    assert_eq!(liar.heard().len(), 1);
}

/// Three ways to say it. One call is heard, and then none until the rest is over, however often somebody asks.
#[tokio::test]
async fn who_asks_for_fewer_calls_gets_none_for_a_while() {
    let world = World::bare(Version::Compatible).await;
    let ways: [fn(&str, &Value, &mut Value) -> Said; 3] = [
        |_, _, _| Said::Bytes(429, None, b"slow down".to_vec()),
        |_, _, _| Said::Bytes(503, Some(("retry-after", "1")), Vec::new()),
        |_, _, reply| {
            let error = json!({ "code": -32005, "message": "daily request count exceeded" });
            *reply = json!({ "jsonrpc": "2.0", "id": reply["id"], "error": error });
            Said::Reply
        },
    ];
    let each = ways.map(async |way| {
        let liar = Liar::before(&world).await;
        let (chain, settings) = (resting(&liar), short_rest());
        chain.tips().await.unwrap();
        liar.heard();
        liar.lies(way);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let error = chain.tips().await.unwrap_err();
            let EvmError::Limited { wait, .. } = error else { panic!("{error}") };
            waits.push(wait);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(waits.windows(2).all(|pair| pair[1] <= pair[0]), "{waits:?}");
        assert_eq!((liar.heard().len(), waits[0]), (1, settings.rest), "left alone while it rests");
        assert!(chain.health()[0].resting);
        // The second time the rest is longer, and never beyond the bound.
        tokio::time::sleep(waits[0]).await;
        let error = chain.tips().await.unwrap_err();
        assert!(matches!(error, EvmError::Limited { wait, .. } if wait == settings.rest_max), "{error}");
        liar.is_honest();
        tokio::time::sleep(settings.rest_max).await;
        chain.tips().await.unwrap();
        assert!(!chain.health()[0].resting);
    });
    futures::future::join_all(each).await;
}

/// Of what was under way, neither an answer ends the rest nor another refusal lengthens it.
#[tokio::test]
async fn a_rest_is_not_cut_short_by_what_was_asked_before() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let chain = resting(&liar);
    let head = chain.tips().await.unwrap().head;
    liar.lies(|method, _, _| match method {
        "eth_getBlockByNumber" => Said::Late(Duration::from_millis(100)),
        _ => Said::Bytes(429, None, Vec::new()),
    });
    let hash = head.hash;
    let (late, first, second, third) =
        tokio::join!(chain.block(head.height), chain.receipt(hash), chain.receipt(hash), chain.receipt(hash));
    assert_eq!(late.unwrap(), Some(head));
    for limited in [first, second, third] {
        let wait = short_rest().rest;
        assert!(matches!(limited.unwrap_err(), EvmError::Limited { wait: said, .. } if said <= wait));
    }
    liar.heard();
    assert!(matches!(chain.block(head.height).await.unwrap_err(), EvmError::Limited { .. }));
    assert!(liar.heard().is_empty());
    liar.is_honest();
    tokio::time::sleep(short_rest().rest).await;
    chain.tips().await.unwrap();
}

/// A wait that an endpoint asks for, however long, is bounded.
#[tokio::test]
async fn nobody_is_left_alone_for_longer_than_the_bound() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let chain = behind(&liar);
    liar.lies(|_, _, _| Said::Bytes(429, Some(("retry-after", "86400")), Vec::new()));
    let error = chain.tips().await.unwrap_err();
    assert!(matches!(error, EvmError::Limited { wait, .. } if wait == quick().rest_max), "{error}");
}

#[tokio::test]
async fn another_endpoint_answers_and_is_preferred_then() {
    let world = World::bare(Version::Compatible).await;
    let faults: [fn(&str, &Value, &mut Value) -> Said; 4] = [
        |_, _, _| Said::Bytes(429, None, Vec::new()),
        |_, _, _| Said::Bytes(500, None, Vec::new()),
        |_, _, _| Said::Bytes(200, None, b"garbage".to_vec()),
        |_, _, reply| {
            reply["result"] = json!("0x5");
            Said::Reply
        },
    ];
    let each = faults.map(async |fault| {
        let liar = Liar::before(&world).await;
        let endpoints = [liar.address.clone(), address_of(&world)];
        let chain = EvmChain::new(CHAIN, &endpoints, AT_ONCE, short_rest()).unwrap();
        assert_eq!(chain.tips().await.unwrap().endpoint.0, 0);
        liar.lies(fault);
        liar.heard();
        assert_eq!(chain.tips().await.unwrap().endpoint.0, 1);
        let asked = liar.heard().len();
        assert_eq!(chain.tips().await.unwrap().endpoint.0, 1);
        assert_eq!((asked, liar.heard().len()), (1, 0), "one failure, then others first");
        liar.is_honest();
        tokio::time::sleep(short_rest().rest).await;
        assert_eq!(chain.tips().await.unwrap().endpoint.0, 0, "it has rested");
    });
    futures::future::join_all(each).await;
}

/// What an address says beside the host goes to that host, and nowhere else.
#[tokio::test]
async fn credentials_go_into_a_header() {
    let world = World::bare(Version::Compatible).await;
    let liar = Liar::before(&world).await;
    let mut address = liar.address.clone();
    address.set_username("us er").unwrap();
    address.set_password(Some("p:w")).unwrap();
    address.set_path("/v3/key");
    let chain = EvmChain::new(CHAIN, &[address], AT_ONCE, quick()).unwrap();
    chain.tips().await.unwrap();
    assert_eq!(liar.headers()["authorization"], "Basic dXMgZXI6cDp3");
    assert_eq!(format!("http://{}/", liar.headers()["host"].to_str().unwrap()), liar.address.as_str());
    liar.lies(bytes(200, b"garbage"));
    let error = chain.tips().await.unwrap_err();
    let told = format!("{error} {error:?} {chain:?}");
    assert!(["us%20er", "p:w", "p%3Aw", "key"].iter().all(|secret| !told.contains(secret)), "{told}");
    honest(&world, AT_ONCE).tips().await.unwrap();
}
