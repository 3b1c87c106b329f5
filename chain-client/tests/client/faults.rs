//! Nodes that page, lag, lie, die and overflow.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chain_client::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use chain_client::proto::cosmos::base::query::v1beta1::PageResponse;
use chain_client::proto::zrchain::treasury::{
    KeyReqResponse, KeyRequestStatus, QueryKeyRequestByIdRequest, QueryKeyRequestByIdResponse, QueryKeyRequestsRequest,
    QueryKeyRequestsResponse, QuerySignatureRequestByIdRequest, QuerySignatureRequestByIdResponse,
    QuerySignatureRequestsRequest, QuerySignatureRequestsResponse, SignReqResponse, SignRequestStatus,
};
use chain_client::tx::any;
use chain_client::{
    Ask, ChainId, Endpoint, EndpointId, Height, LowWater, ReadError, RequestId, Settings, Standing, ZrChain,
};
use prost::Message;
use tonic::Code;

use super::scripted::{Asked, KEYRING, Node, Said, block, client, client_with, hurried};

/// A chain of stored requests that pages as the facts say: in key mode the limit counts what is scanned.
#[derive(Clone, Default)]
struct Store {
    keys: Vec<KeyReqResponse>,
    signatures: Vec<SignReqResponse>,
    height: u64,
}

impl Store {
    fn node(self) -> Node {
        Node::new(move |asked| self.say(asked))
    }

    fn say(&self, asked: &Asked) -> Said {
        let height = asked.at.unwrap_or(self.height);
        match asked.path.rsplit('/').next().expect("a method") {
            "KeyRequests" => {
                let question: QueryKeyRequestsRequest = asked.read();
                assert_eq!(question.keyring_addr, KEYRING);
                let status = KeyRequestStatus::try_from(question.status).expect("a status").as_str_name();
                let page = question.pagination.expect("a page");
                let (scanned, next) = scan(&self.keys, |of| of.id, &page.key, page.limit);
                // Lists leave the deadline out.
                let found = scanned.iter().filter(|of| of.status == status);
                let key_requests = found.map(|of| KeyReqResponse { mpc_btl: 0, ..of.clone() }).collect();
                Said::message(&QueryKeyRequestsResponse { key_requests, pagination: Some(next) }, height)
            }
            "SignatureRequests" => {
                let question: QuerySignatureRequestsRequest = asked.read();
                assert_eq!(question.keyring_addr, KEYRING);
                let status = SignRequestStatus::try_from(question.status).expect("a status").as_str_name();
                let page = question.pagination.expect("a page");
                let (scanned, next) = scan(&self.signatures, |of| of.id, &page.key, page.limit);
                let sign_requests = scanned.iter().filter(|of| of.status == status).cloned().collect();
                Said::message(&QuerySignatureRequestsResponse { sign_requests, pagination: Some(next) }, height)
            }
            "KeyRequestByID" => {
                let id = asked.read::<QueryKeyRequestByIdRequest>().id;
                match self.keys.iter().find(|of| of.id == id) {
                    Some(of) => Said::message(&QueryKeyRequestByIdResponse { key_request: Some(of.clone()) }, height),
                    None => Said::not_found(&format!("key request {id} not found"), height),
                }
            }
            method => panic!("unexpected {method}"),
        }
    }
}

fn scan<T: Clone>(all: &[T], id: impl Fn(&T) -> u64, key: &[u8], limit: u64) -> (Vec<T>, PageResponse) {
    let from = u64::from_be_bytes(key.try_into().expect("key mode with 8 bytes"));
    let mut rest = all.iter().filter(|of| id(of) >= from);
    let scanned = rest.by_ref().take(usize::try_from(limit).expect("small")).cloned().collect();
    let next_key = rest.next().map(|of| id(of).to_be_bytes().to_vec()).unwrap_or_default();
    (scanned, PageResponse { next_key, total: 0 })
}

fn key_request(id: u64, status: &str, deadline: u64) -> KeyReqResponse {
    KeyReqResponse {
        id,
        creator: "zen1user".into(),
        keyring_addr: KEYRING.into(),
        key_type: "KEY_TYPE_EDDSA_ED25519".into(),
        status: format!("KEY_REQUEST_STATUS_{status}"),
        mpc_btl: deadline,
        ..Default::default()
    }
}

fn signature_request(id: u64, status: &str, deadline: u64) -> SignReqResponse {
    SignReqResponse {
        id,
        creator: "zen1user".into(),
        key_ids: vec![1],
        key_type: "KEY_TYPE_ECDSA_SECP256K1".into(),
        data_for_signing: vec![vec![7; 32]],
        status: format!("SIGN_REQUEST_STATUS_{status}"),
        mpc_btl: deadline,
        ..Default::default()
    }
}

fn pages_of(records: u64) -> Settings {
    Settings { page_records: records, ..hurried() }
}

#[tokio::test]
async fn a_scan_passes_empty_pages_and_finds_partial_requests_of_both_kinds() {
    let mut store = Store { height: 30, ..Store::default() };
    store.keys = (1..=20).map(|id| key_request(id, "FULFILLED", 10)).collect();
    store.keys[18] = key_request(19, "PARTIAL", 40);
    store.signatures = (1..=30).map(|id| signature_request(id, "REJECTED", 10)).collect();
    store.signatures[16] = signature_request(17, "PENDING", 41);
    store.signatures[28] = signature_request(29, "PARTIAL", 42);
    let node = store.node();
    let scan = client_with(&[&node], pages_of(3)).open_requests(LowWater::default()).await.expect("a scan");

    assert_eq!((scan.height, scan.value.complete), (Height(30), true));
    let found: Vec<_> = scan.value.requests.iter().map(|of| (of.id, of.deadline)).collect();
    let wanted = [(RequestId::key(19), 40), (RequestId::signature(17), 41), (RequestId::signature(29), 42)];
    assert_eq!(found, wanted.map(|(id, deadline)| (id, Some(Height(deadline)))));
    assert_eq!(scan.value.low_water, LowWater { key: 19, signature: 17 });
    assert!(
        node.asked()
            .iter()
            .skip(1)
            .filter(|asked| !asked.is("GetLatestBlock"))
            .filter(|asked| asked.at != Some(30))
            .count()
            <= 6,
        "only the first walk's pages before the height is known may be unpinned"
    );
}

#[tokio::test]
async fn every_page_after_the_first_is_pinned_to_the_first_ones_height() {
    let mut store = Store { height: 30, ..Store::default() };
    store.keys = (1..=9).map(|id| key_request(id, "PENDING", 40)).collect();
    store.signatures = (1..=9).map(|id| signature_request(id, "PENDING", 40)).collect();
    let node = store.node();
    client_with(&[&node], pages_of(2)).open_requests(LowWater::default()).await.expect("a scan");
    let pins: Vec<_> = node.asked().iter().map(|asked| asked.at).collect();
    assert_eq!(pins[0], None);
    assert!(pins.len() > 10 && pins[1..].iter().all(|at| *at == Some(30)), "{pins:?}");
}

#[tokio::test]
async fn the_low_water_mark_leaves_history_behind() {
    let mut store = Store { height: 500, ..Store::default() };
    store.keys = (1..=100).map(|id| key_request(id, "FULFILLED", 10)).collect();
    store.signatures = (1..=1000).map(|id| signature_request(id, "FULFILLED", 10)).collect();
    // Open past its deadline: the chain has not swept it yet, nobody can answer it any more.
    store.signatures[4] = signature_request(5, "PENDING", 500);
    let node = store.node();
    let client = client_with(&[&node], pages_of(10));
    let first = client.open_requests(LowWater::default()).await.expect("a scan").value;
    assert_eq!(first.low_water, LowWater { key: 91, signature: 991 });
    let before = node.asked().len();
    let second = client.open_requests(first.low_water).await.expect("a scan").value;
    assert_eq!((second.low_water, second.complete), (first.low_water, true));
    assert_eq!(node.asked().len() - before, 4, "an idle scan asks four questions");
}

#[tokio::test]
async fn a_scan_that_is_cut_off_says_so_and_goes_on_from_its_mark() {
    let mut store = Store { height: 9, ..Store::default() };
    store.signatures = (1..=100).map(|id| signature_request(id, "FULFILLED", 10)).collect();
    store.signatures[79] = signature_request(80, "PENDING", 20);
    let node = store.node();
    let client = client_with(&[&node], Settings { pages_max: 4, ..pages_of(10) });
    let (mut mark, mut scans) = (LowWater::default(), 0);
    let found = loop {
        let scan = client.open_requests(mark).await.expect("a scan").value;
        scans += 1;
        assert!(scan.low_water > mark || scan.complete, "it moves");
        mark = scan.low_water;
        if let Some(found) = scan.requests.first() {
            break found.id;
        }
    };
    assert_eq!((found, scans > 1), (RequestId::signature(80), true));
}

#[tokio::test]
async fn a_deadline_is_asked_for_once() {
    let store = Store { height: 5, keys: vec![key_request(1, "PENDING", 25)], ..Store::default() };
    let node = store.node();
    let client = client(&[&node]);
    for _ in 0..3 {
        let scan = client.open_requests(LowWater::default()).await.expect("a scan").value;
        assert_eq!(scan.requests[0].deadline, Some(Height(25)));
    }
    assert_eq!(node.times("KeyRequestByID"), 1);
}

#[tokio::test]
async fn parents_and_children_are_told_apart() {
    let parent = SignReqResponse {
        key_ids: vec![1, 2],
        data_for_signing: vec![vec![7; 32], vec![8; 32]],
        child_req_ids: vec![2, 3],
        ..signature_request(1, "PENDING", 20)
    };
    let child = |id| SignReqResponse { parent_req_id: 1, ..signature_request(id, "PENDING", 20) };
    let store = Store { height: 5, signatures: vec![parent, child(2), child(3)], ..Store::default() };
    let scan = client(&[&store.node()]).open_requests(LowWater::default()).await.expect("a scan").value;
    let [parent, first, second] = scan.requests.as_slice() else { panic!("three requests") };
    assert!(parent.is_parent());
    assert!(matches!(&parent.ask, Ask::Group { items: 2, children, .. } if children[1] == second.id));
    assert!(matches!(&first.ask, Ask::Signature { key: 1, payload, .. } if payload.len() == 32));
    assert_eq!(first.parent, Some(parent.id));
}

#[tokio::test]
async fn a_status_or_type_of_no_known_name_is_not_open() {
    let odd = SignReqResponse { key_type: "KEY_TYPE_ECDSA_P256".into(), ..signature_request(2, "PENDING", 20) };
    let reply = QuerySignatureRequestsResponse {
        sign_requests: vec![signature_request(1, "pending", 20), odd, signature_request(3, "PENDING", 20)],
        pagination: None,
    };
    let node = Node::new(move |asked| match asked.read::<QuerySignatureRequestsRequest>().status {
        1 if asked.is("SignatureRequests") => Said::message(&reply, 9),
        _ => Said::Message(vec![], Some(9)),
    });
    let scan = client(&[&node]).open_requests(LowWater::default()).await.expect("a scan").value;
    assert_eq!(scan.requests.iter().map(|of| of.id).collect::<Vec<_>>(), [RequestId::signature(3)]);
    assert_eq!(scan.unreadable, [1, 2].map(RequestId::signature));
}

#[tokio::test]
async fn pages_that_do_not_ascend_end_the_scan() {
    let pagination = Some(PageResponse { next_key: 1u64.to_be_bytes().to_vec(), total: 0 });
    let reply = QueryKeyRequestsResponse { key_requests: vec![], pagination };
    let node = Node::new(move |_| Said::message(&reply, 9));
    let error = client(&[&node]).open_requests(LowWater::default()).await.expect_err("it would never end");
    assert!(matches!(error, ReadError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_page_beyond_the_bound_is_asked_for_in_smaller_ones() {
    let mut store = Store { height: 9, ..Store::default() };
    store.signatures = (1..=40).map(|id| signature_request(id, "PENDING", 20)).collect();
    // One record alone is beyond the bound.
    store.signatures[20].data_for_signing = vec![vec![7; 5000]];
    let node = store.node();
    let settings = Settings { reply_bytes_max: 2048, ..pages_of(16) };
    let scan = client_with(&[&node], settings).open_requests(LowWater::default()).await.expect("a scan").value;
    assert_eq!(scan.unreadable, [RequestId::signature(21)]);
    assert_eq!((scan.requests.len(), scan.complete), (39, true));
}

#[tokio::test]
async fn a_scan_keeps_no_more_than_its_bound() {
    let mut store = Store { height: 9, ..Store::default() };
    store.signatures = (1..=40).map(|id| signature_request(id, "PENDING", 20)).collect();
    let settings = Settings { scan_bytes_max: 1000, ..pages_of(4) };
    let scan = client_with(&[&store.node()], settings).open_requests(LowWater::default()).await.expect("a scan").value;
    assert!(!scan.complete && scan.requests.len() < 20, "{} requests", scan.requests.len());
    assert_eq!(scan.low_water.signature, 1, "what is open holds the mark");
}

#[tokio::test]
async fn an_address_that_nobody_listens_on_is_unreachable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let address = format!("http://someone:secret@127.0.0.1:{port}/path").parse().expect("an address");
    let endpoint = Endpoint::at(&address).expect("an endpoint");
    assert!(!format!("{endpoint:?}").contains("secret"));
    let client = ZrChain::new(ChainId::new("zenrock").expect("a name"), KEYRING, vec![endpoint], hurried());
    let error = client.head().await.expect_err("nobody is there");
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    for odd in ["ftp://host", "unix:/socket", "data:text"] {
        assert!(Endpoint::at(&odd.parse().expect("an address")).is_err(), "{odd}");
    }
}

#[tokio::test]
async fn a_dead_node_is_passed_over_and_then_rests() {
    let dead = Node::new(|_| Said::down());
    let live = Store { height: 5, ..Store::default() }.node();
    let client = client(&[&dead, &live]);
    for _ in 0..3 {
        let scan = client.open_requests(LowWater::default()).await.expect("a scan");
        assert_eq!(scan.endpoint, EndpointId(1));
    }
    assert_eq!(dead.asked().len(), 1, "while it rests, nobody waits for it");
    let health = client.health();
    assert!(health[0].resting && health[0].failures == 1 && !health[1].resting);
}

#[tokio::test]
async fn a_silent_node_costs_one_bounded_wait() {
    let silent = Node::new(|_| Said::Silence);
    let live = Store { height: 5, ..Store::default() }.node();
    let client = client(&[&silent, &live]);
    let scan = client.open_requests(LowWater::default()).await.expect("a scan");
    assert_eq!(scan.endpoint, EndpointId(1));
    let silent = Node::new(|_| Said::Silence);
    let alone = self::client(&[&silent]).balance("zen1user").await.expect_err("nobody else is there");
    assert!(matches!(alone, ReadError::Unreachable { .. }), "{alone}");
    assert_eq!(silent.times("Balance"), 2, "two rounds, as set");
}

#[tokio::test]
async fn a_scan_broken_off_begins_again_elsewhere_and_never_mixes_nodes() {
    let breaks = Node::new(|asked| match asked.is("SignatureRequests") {
        true => Said::down(),
        false => Said::message(&QueryKeyRequestsResponse::default(), 77),
    });
    let live = Store { height: 5, signatures: vec![signature_request(1, "PENDING", 9)], ..Store::default() }.node();
    let scan = client(&[&breaks, &live]).open_requests(LowWater::default()).await.expect("a scan");
    assert_eq!((scan.endpoint, scan.height), (EndpointId(1), Height(5)));
    assert!(live.asked().iter().all(|asked| asked.at != Some(77)));
}

#[tokio::test]
async fn a_node_that_lags_is_preferred_no_longer() {
    let node = |height| Node::unvouched(move |_| Said::Message(block(height, "zenrock").encode_to_vec(), None));
    let (behind, ahead) = (node(90), node(100));
    let client = client(&[&behind, &ahead]);
    assert_eq!(client.head().await.expect("a block").endpoint, EndpointId(0), "nothing is known yet");
    let heights: Vec<_> =
        client.survey().await.into_iter().map(|(id, head)| (id.0, head.expect("a block").height.0)).collect();
    assert_eq!(heights, [(0, 90), (1, 100)]);
    let head = client.head().await.expect("a block");
    assert_eq!((head.endpoint, head.height, head.value.hash), (EndpointId(1), Height(100), [9; 32]));
}

/// A node that shows a head, whatever it is asked.
fn showing(height: impl Fn() -> i64 + Send + Sync + 'static) -> Node {
    Node::unvouched(move |_| Said::Message(block(height(), "zenrock").encode_to_vec(), None))
}

#[tokio::test]
async fn one_false_head_is_refused_and_costs_only_the_liar() {
    for lie in [1 << 60, 5_000_300] {
        let (first, second) = (showing(move || lie), showing(|| 5_000_000));
        // Whichever place the liar has, and whether heads are read one by one or side by side.
        for (nodes, liar) in [([&first, &second], 0), ([&second, &first], 1)] {
            let client = client(&nodes);
            let survey = client.survey().await;
            let told = survey[liar].1.as_ref().expect_err("a lie");
            assert!(
                matches!(told, ReadError::Malformed { endpoint, .. } if *endpoint == format!("node {liar}")),
                "{told}"
            );
            let head = client.head().await.expect("a block");
            assert_eq!((head.endpoint.0, head.height), (1 - u16::try_from(liar).expect("small"), Height(5_000_000)));
            let health = client.health();
            assert!(health[liar].resting && health[liar].failures > 0 && health[liar].height == Height(0));
            assert!(!health[1 - liar].resting && health[1 - liar].height == Height(5_000_000));

            let client = self::client(&nodes);
            assert_eq!(client.head().await.expect("a block").height, Height(5_000_000), "the first look of all");
        }
    }
}

#[tokio::test]
async fn a_single_node_is_believed_again_when_its_lie_ends() {
    let shown = Arc::new(AtomicI64::new(5_000_000));
    let show = shown.clone();
    let node = showing(move || show.load(Ordering::SeqCst));
    let client = client(&[&node]);
    assert_eq!(client.head().await.expect("a block").height, Height(5_000_000));
    shown.store(1 << 60, Ordering::SeqCst);
    let error = client.head().await.expect_err("a lie");
    assert!(error.to_string().contains("node 0") && error.to_string().contains("1152921504606846976"), "{error}");
    shown.store(5_000_003, Ordering::SeqCst);
    assert_eq!(client.head().await.expect("a block").height, Height(5_000_003));
    assert_eq!((client.health()[0].failures, client.health()[0].height), (0, Height(5_000_003)));
}

#[tokio::test]
async fn a_state_higher_than_any_chain_is_refused_as_a_head_is() {
    let liar = Node::new(|_| Said::message(&account(5), 1 << 60));
    let gone = Node::new(|_| Said::not_found("account zen1party not found", 1 << 60));
    let live = Node::new(|_| Said::message(&account(6), 40));
    let client = client(&[&liar, &gone, &live]);
    let found = client.account("zen1party").await.expect("a reply");
    assert_eq!((found.endpoint, found.height), (EndpointId(2), Height(40)));
    assert!(client.health().iter().all(|one| one.height <= Height(40)));
}

#[tokio::test]
async fn a_node_of_another_chain_is_asked_for_nothing() {
    let other = Node::unvouched(|_| Said::Message(block(1000, "diamond-1").encode_to_vec(), None));
    let error = client(&[&other]).open_requests(LowWater::default()).await.expect_err("another chain");
    assert!(error.to_string().contains("diamond-1"), "{error}");
    assert!(other.asked().iter().all(|asked| asked.is("GetLatestBlock")));

    let live = Store { height: 5, ..Store::default() }.node();
    let scan = client(&[&other, &live]).open_requests(LowWater::default()).await.expect("a scan");
    assert_eq!(scan.endpoint, EndpointId(1));
}

#[tokio::test]
async fn a_node_that_moves_to_another_chain_is_noticed_by_its_blocks() {
    let moves = Node::new(|_| Said::Message(block(1000, "diamond-1").encode_to_vec(), None));
    let error = client(&[&moves]).head().await.expect_err("another chain");
    assert!(error.to_string().contains("diamond-1"), "{error}");
}

#[tokio::test]
async fn a_reply_of_another_height_is_never_taken_for_the_one_asked_for() {
    let unpinned = Node::new(|_| {
        let request = signature_request(4, "PENDING", 20);
        Said::message(&QuerySignatureRequestByIdResponse { sign_request: Some(request) }, 12)
    });
    let client = client(&[&unpinned]);
    let error = client.request(RequestId::signature(4), Some(Height(11))).await.expect_err("of height 12");
    assert!(matches!(error, ReadError::Malformed { .. }), "{error}");
    assert!(client.request(RequestId::signature(4), Some(Height(12))).await.is_ok());

    let absent = Node::new(|_| Said::not_found("not found: request not found", 12));
    let client = self::client(&[&absent]);
    assert!(client.request(RequestId::signature(4), Some(Height(11))).await.is_err(), "absent at another height");
    let found = client.request(RequestId::signature(4), Some(Height(12))).await.expect("a reply");
    assert_eq!((found.height, found.value), (Height(12), None));
}

#[tokio::test]
async fn a_height_that_one_node_has_not_yet_is_read_from_another() {
    let behind = Node::new(|_| {
        Said::Status(
            Code::Unknown,
            "codespace sdk code 26: invalid height: cannot query with height in the future".into(),
            None,
        )
    });
    let ahead = Node::new(|asked| {
        let request = signature_request(4, "PENDING", 20);
        Said::message(&QuerySignatureRequestByIdResponse { sign_request: Some(request) }, asked.at.expect("pinned"))
    });
    let client = client(&[&behind, &ahead]);
    let found = client.request(RequestId::signature(4), Some(Height(50))).await.expect("a reply");
    assert_eq!((found.endpoint, found.height), (EndpointId(1), Height(50)));
    assert!(!client.health()[0].resting, "a node that says no is well");
}

fn account(sequence: u64) -> QueryAccountResponse {
    let account = BaseAccount { address: "zen1party".into(), account_number: 9, sequence, ..Default::default() };
    QueryAccountResponse { account: Some(any(&account)) }
}

#[tokio::test]
async fn a_reading_is_of_one_height_of_one_node() {
    let node = Node::new(|asked| match asked.is("Account") {
        true => Said::message(&account(5), 40),
        false => {
            let request = SignReqResponse {
                keyring_party_sigs: vec![chain_client::proto::zrchain::treasury::PartySignature {
                    creator: "zen1party".into(),
                    signature: vec![0; 64],
                }],
                ..signature_request(4, "PARTIAL", 50)
            };
            Said::message(&QuerySignatureRequestByIdResponse { sign_request: Some(request) }, asked.at.unwrap_or(41))
        }
    });
    let reading = client(&[&node]).reading("zen1party", RequestId::signature(4)).await.expect("a reading");
    assert_eq!((reading.height(), reading.account().sequence), (Height(40), 5));
    assert!(reading.standing().is_open() && reading.standing().names("zen1party"));
    assert_eq!(node.asked()[1].at, Some(40), "the request is read at the account's height");
}

#[tokio::test]
async fn an_account_without_funds_is_not_the_nodes_fault() {
    let node = Node::new(|_| Said::Status(Code::NotFound, "account zen1party not found".into(), Some(4)));
    let client = client(&[&node]);
    let error = client.reading("zen1party", RequestId::key(1)).await.expect_err("no account");
    assert!(error.to_string().contains("funds"), "{error}");
    assert_eq!((client.health()[0].failures, node.asked().len()), (0, 1));
}

#[tokio::test]
async fn a_node_that_ignores_the_pin_gives_no_reading() {
    let moves_on = Node::new(|asked| match asked.is("Account") {
        true => Said::message(&account(6), 40),
        false => Said::not_found("request not found", 41),
    });
    assert!(client(&[&moves_on]).reading("zen1party", RequestId::signature(4)).await.is_err());
}

#[tokio::test]
async fn what_the_chain_does_not_know_is_gone_and_not_an_error() {
    let texts = [
        (Code::Unknown, "codespace treasury code 1503: not found: key 999 not found"),
        (Code::Unknown, "key request 999 not found"),
        (Code::NotFound, "rpc error: account zen1nobody not found"),
    ];
    for (code, text) in texts {
        let node = Node::new(move |_| Said::Status(code, text.into(), Some(8)));
        let client = client(&[&node]);
        assert_eq!(client.key(999, None).await.expect("a reply").value, None, "{text}");
        assert_eq!(client.account("zen1nobody").await.expect("a reply").value, None, "{text}");
        assert_eq!(client.standing(RequestId::key(999)).await.expect("a reply").value, Standing::Gone, "{text}");
    }
    let node = Node::new(|_| {
        Said::Status(Code::Unknown, "failed to load state at height 3; version does not exist".into(), None)
    });
    assert!(client(&[&node]).key(1, Some(Height(3))).await.is_err(), "pruned is not absent");
}

#[tokio::test]
async fn the_creation_height_is_found_in_few_reads() {
    const MADE_AT: u64 = 61_234;
    let node = Node::new(|asked| {
        let at = asked.at.expect("pinned");
        if at < MADE_AT {
            return Said::not_found("request not found", at);
        }
        let id = asked.read::<QuerySignatureRequestByIdRequest>().id;
        Said::message(
            &QuerySignatureRequestByIdResponse { sign_request: Some(signature_request(id, "PENDING", 9)) },
            at,
        )
    });
    let client = client(&[&node]);
    let found = client.creation_height(RequestId::signature(3), Height(0), Height(100_000)).await.expect("a height");
    assert_eq!(found, Height(MADE_AT));
    assert!(node.asked().len() <= 17);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_an_error() {
    let node = Node::new(|_| Said::Message(vec![0xff; 40], Some(3)));
    let client = client(&[&node]);
    assert!(matches!(client.keyring().await, Err(ReadError::Malformed { .. })));
    assert!(client.open_requests(LowWater::default()).await.is_err());
    assert!(client.head().await.is_err());
}

#[test]
fn what_the_client_does_can_be_done_on_any_thread() {
    fn send<T: Send>(_: T) {}
    let node = Node::new(|_| Said::Silence);
    let client = client(&[&node]);
    send(client.open_requests(LowWater::default()));
    send(client.reading("zen1party", RequestId::key(1)));
    send(client.survey());
    send(client.creation_height(RequestId::key(1), Height(0), Height(9)));
    fn sync<T: Sync>(_: &T) {}
    sync(&client);
}
