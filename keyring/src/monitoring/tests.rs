use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::readiness::{Beat, Facts, PeerFacts};

/// A node that is well or stuck.
#[derive(Default)]
struct Patient {
    is_stuck: AtomicBool,
}

#[async_trait]
impl Probe for Patient {
    async fn is_alive(&self) -> bool {
        !self.is_stuck.load(Ordering::SeqCst)
    }

    async fn readiness(&self) -> Readiness {
        let node = crate::readiness::NodeFacts {
            restraints: Vec::new(),
            fenced: Vec::new(),
            asking: Vec::new(),
            twins: Vec::new(),
            has_auxiliary: true,
            empty_lanes: Vec::new(),
            chains: Vec::new(),
            contracts: Vec::new(),
        };
        let node = if self.is_alive().await { Beat::Answered(node) } else { Beat::Stuck(3_000) };
        Readiness::of(&Facts {
            need: 2,
            quorum: 2,
            peers: ["bravo", "charlie"]
                .map(|name| PeerFacts { name: name.to_owned(), is_here: name == "bravo" })
                .into(),
            store_halted: false,
            links_ended: false,
            tasks_ended: Vec::new(),
            clock_warning: String::new(),
            node,
        })
    }

    async fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }
}

/// Serves a patient while `asked` runs.
async fn with_node<T>(patient: Patient, asked: impl AsyncFnOnce(SocketAddr) -> T) -> T {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 2).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = serve(listener, Arc::new(patient), async { drop(stopped.await) });
    let ((), answer) = tokio::join!(served, async {
        let answer = asked(address).await;
        stop.send(()).unwrap();
        answer
    });
    answer
}

/// Says these bytes, and gives everything that comes back.
async fn say(address: SocketAddr, words: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    // Whoever is cut off may see a reset.
    let _reset = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    say(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
}

#[tokio::test]
async fn a_node_that_is_well_says_so_and_names_what_it_lacks() {
    with_node(Patient::default(), async |address| {
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200 OK\r\n"), "{ready}");
        let body = ready.split("\r\n\r\n").nth(1).unwrap();
        assert!(body.starts_with("ready\ndegraded peers_absent: absent: charlie; "), "{body}");
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"));
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_stuck_is_neither_alive_nor_ready_in_text_and_json() {
    with_node(Patient { is_stuck: true.into() }, async |address| {
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 503 "));
        let text = get(address, "/readyz").await;
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\n\r\nnode_stuck: the node's thread"), "{text}");
        let by_query = get(address, "/readyz?format=json").await;
        let by_header =
            say(address, "GET /readyz HTTP/1.1\r\nhost: x\r\naccept: text/html, application/json\r\n\r\n").await;
        for answer in [by_query, by_header] {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("content-type: application/json\r\n"));
            let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert_eq!((&body["ready"], &body["reasons"][0]["name"]), (&false.into(), &"node_stuck".into()), "{body}");
            assert_eq!(body["degraded"][0]["name"], "peers_absent");
        }
    })
    .await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    with_node(Patient::default(), async |address| {
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
        let posted = say(address, "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
        let head = say(address, "HEAD /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(say(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    })
    .await;
}

#[tokio::test]
async fn heads_and_connections_are_bounded() {
    with_node(Patient::default(), async |address| {
        let long = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(2 * HEAD_BYTES_MAX));
        assert!(!say(address, &long).await.starts_with("HTTP/1.1 200 "));
        let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
        assert!(!say(address, &many).await.starts_with("HTTP/1.1 200 "));

        // Two who say nothing hold both places; the third waits until they are cut off.
        let _silent = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waits = tokio::time::timeout(Duration::from_millis(500), get(address, "/livez")).await;
        assert!(waits.is_err(), "there are two places: {waits:?}");
        let served = tokio::time::timeout(HEAD_TIME_MAX + Duration::from_secs(5), get(address, "/livez")).await;
        assert!(served.expect("the silent are cut off").starts_with("HTTP/1.1 200 "));
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).await.unwrap();
    let error = Listener::bind(first.address().unwrap(), 1).await.unwrap_err();
    assert!(error.to_string().contains("monitoring.listen"), "{error}");
}
