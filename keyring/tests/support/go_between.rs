//! Stands between one party and its EVM node, and does with each question what the test says: hands it on, hands the
//! reply back changed, refuses, keeps silent. It remembers which transactions came by, whatever became of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::Bytes;
use alloy_provider::{Provider as _, RootProvider};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes as Body, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// By which transactions reach a node.
pub(crate) const SEND: &str = "eth_sendRawTransaction";
/// By which headers are read.
pub(crate) const BLOCK: &str = "eth_getBlockByNumber";
/// By which the receipts of a block, and so all logs, are read.
pub(crate) const RECEIPTS: &str = "eth_getBlockReceipts";

/// Longer than any party waits for a reply.
const FOREVER: Duration = Duration::from_secs(600);

type Change = Box<dyn FnOnce(&mut Value) + Send>;

/// What becomes of a question.
pub(crate) enum Way {
    /// The node hears it, and its reply goes back.
    Through,
    /// The node hears it, and what it returns goes back changed.
    Changed(Change),
    /// The node does not hear it: this HTTP status goes back.
    Refused(u16),
    /// The node does not hear it, and nobody answers.
    Swallowed,
}

type Rule = Arc<dyn Fn(&str, &Value) -> Way + Send + Sync>;

/// What all connections share.
struct Post {
    node: RootProvider,
    rule: Mutex<Rule>,
    heard: Mutex<BTreeMap<String, u64>>,
    sent: Mutex<Vec<Bytes>>,
}

pub(crate) struct GoBetween {
    url: String,
    post: Arc<Post>,
    _connections: JoinSet<()>,
}

impl GoBetween {
    /// In front of a node; everything passes so far.
    pub(crate) async fn before(node: &RootProvider) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let rule: Rule = Arc::new(|_, _| Way::Through);
        let (heard, sent) = (Mutex::default(), Mutex::default());
        let post = Arc::new(Post { node: node.clone(), rule: Mutex::new(rule), heard, sent });
        let mut connections = JoinSet::new();
        let _ = connections.spawn(serve(listener, Arc::clone(&post)));
        Self { url, post, _connections: connections }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on: by method and parameters.
    pub(crate) fn rule(&self, rule: impl Fn(&str, &Value) -> Way + Send + Sync + 'static) {
        *self.post.rule.lock().unwrap() = Arc::new(rule);
    }

    pub(crate) fn lets_everything_through(&self) {
        self.rule(|_, _| Way::Through);
    }

    /// No transaction reaches the node; whoever sends one hears nothing.
    pub(crate) fn swallows_transactions(&self) {
        self.rule(|method, _| if method == SEND { Way::Swallowed } else { Way::Through });
    }

    /// What one method returns goes back changed.
    pub(crate) fn changes(&self, method: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        let change = Arc::new(change);
        self.rule(move |asked, _| {
            if asked != method {
                return Way::Through;
            }
            let change = Arc::clone(&change);
            Way::Changed(Box::new(move |result| change(result)))
        });
    }

    /// Every transaction that came by, in order, also those that the node never heard of.
    pub(crate) fn sent(&self) -> Vec<Bytes> {
        self.post.sent.lock().unwrap().clone()
    }

    /// How often a method was asked for.
    pub(crate) fn heard(&self, method: &str) -> u64 {
        self.post.heard.lock().unwrap().get(method).copied().unwrap_or(0)
    }
}

async fn serve(listener: TcpListener, post: Arc<Post>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let post = Arc::clone(&post);
        let service = hyper::service::service_fn(move |request| {
            let post = Arc::clone(&post);
            async move { Ok::<_, Infallible>(answer(&post, request).await) }
        });
        let _ = connections.spawn(async move {
            // A party that is killed in the middle of a question is no fault of this one.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(post: &Post, request: Request<Incoming>) -> Response<Full<Body>> {
    let Ok(body) = request.into_body().collect().await else { return reply(400, Vec::new()) };
    let question: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    let (method, params) = (question["method"].as_str().unwrap().to_owned(), question["params"].clone());
    *post.heard.lock().unwrap().entry(method.clone()).or_default() += 1;
    if method == SEND {
        let bytes = serde_json::from_value(params[0].clone()).unwrap();
        post.sent.lock().unwrap().push(bytes);
    }
    let rule = Arc::clone(&post.rule.lock().unwrap());
    let change = match rule(&method, &params) {
        Way::Through => None,
        Way::Changed(change) => Some(change),
        Way::Refused(status) => return reply(status, b"not now".to_vec()),
        Way::Swallowed => {
            tokio::time::sleep(FOREVER).await;
            return reply(504, Vec::new());
        }
    };
    // What nobody changes is not even read.
    let result = match post.node.client().request::<_, Box<RawValue>>(method, params).await {
        Ok(result) => result,
        Err(error) => {
            let Some(no) = error.as_error_resp() else { return reply(502, error.to_string().into_bytes()) };
            let said = json!({ "jsonrpc": "2.0", "id": question["id"], "error": no });
            return reply(200, serde_json::to_vec(&said).unwrap());
        }
    };
    let result = match change {
        None => result.get().to_owned(),
        Some(change) => {
            let mut result = serde_json::from_str(result.get()).unwrap();
            change(&mut result);
            result.to_string()
        }
    };
    reply(200, format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, question["id"]).into_bytes())
}

fn reply(status: u16, body: Vec<u8>) -> Response<Full<Body>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::from(body)).unwrap()
}
