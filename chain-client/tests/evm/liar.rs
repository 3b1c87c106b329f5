//! An endpoint that hands questions on to the real node, and says something else than the node said.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_provider::{Provider as _, RootProvider};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::world::World;

/// What is said in place of the truth.
pub(crate) enum Said {
    /// The reply, as the lie has changed it.
    Reply,
    /// These bytes, under this status, with this header.
    Bytes(u16, Option<(&'static str, &'static str)>, Vec<u8>),
    /// The reply, so much later.
    Late(Duration),
    /// Nothing, for longer than anybody waits.
    Nothing,
}

type Lie = Arc<dyn Fn(&str, &Value, &mut Value) -> Said + Send + Sync>;

/// What all connections of an endpoint share.
struct Tongue {
    truth: RootProvider,
    lie: Mutex<Option<Lie>>,
    heard: Mutex<Vec<(String, HeaderMap)>>,
}

pub(crate) struct Liar {
    pub(crate) address: Url,
    tongue: Arc<Tongue>,
    _connections: JoinSet<()>,
}

impl Liar {
    /// An endpoint in front of a world's node, honest so far.
    pub(crate) async fn before(world: &World) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let tongue = Arc::new(Tongue { truth: world.provider.clone(), lie: Mutex::default(), heard: Mutex::default() });
        let mut connections = JoinSet::new();
        let _ = connections.spawn(serve(listener, Arc::clone(&tongue)));
        Self { address, tongue, _connections: connections }
    }

    /// From now on: method, parameters, and the whole reply, which may be changed.
    pub(crate) fn lies(&self, lie: impl Fn(&str, &Value, &mut Value) -> Said + Send + Sync + 'static) {
        *self.tongue.lie.lock().unwrap() = Some(Arc::new(lie));
    }

    /// The same for the replies to one method.
    pub(crate) fn changes(&self, method: &'static str, change: impl Fn(&Value, &mut Value) + Send + Sync + 'static) {
        self.lies(move |asked, params, reply| {
            if asked == method {
                change(params, &mut reply["result"]);
            }
            Said::Reply
        });
    }

    pub(crate) fn is_honest(&self) {
        *self.tongue.lie.lock().unwrap() = None;
    }

    /// Which methods were asked since the last time.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.tongue.heard.lock().unwrap().drain(..).map(|(method, _)| method).collect()
    }

    /// The headers that came with the last question.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.tongue.heard.lock().unwrap().last().unwrap().1.clone()
    }
}

async fn serve(listener: TcpListener, tongue: Arc<Tongue>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let tongue = Arc::clone(&tongue);
        let service = hyper::service::service_fn(move |request| {
            let tongue = Arc::clone(&tongue);
            async move { Ok::<_, Infallible>(answer(&tongue, request).await) }
        });
        let _ = connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(tongue: &Tongue, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers().clone();
    let question: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let (method, params) = (question["method"].as_str().unwrap().to_owned(), question["params"].clone());
    tongue.heard.lock().unwrap().push((method.clone(), headers));
    let mut reply = json!({ "jsonrpc": "2.0", "id": question["id"] });
    match tongue.truth.client().request::<_, Value>(method.clone(), params.clone()).await {
        Ok(result) => reply["result"] = result,
        Err(error) => {
            reply["error"] = serde_json::to_value(error.as_error_resp().unwrap_or_else(|| panic!("{error}"))).unwrap();
        }
    }
    let lie = tongue.lie.lock().unwrap().clone();
    let said = lie.map_or(Said::Reply, |lie| lie(&method, &params, &mut reply));
    let (status, header, body) = match said {
        Said::Reply => (200, None, serde_json::to_vec(&reply).unwrap()),
        Said::Bytes(status, header, body) => (status, header, body),
        Said::Late(wait) => {
            tokio::time::sleep(wait).await;
            (200, None, serde_json::to_vec(&reply).unwrap())
        }
        Said::Nothing => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            (200, None, Vec::new())
        }
    };
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).unwrap()
}
