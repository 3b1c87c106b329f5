//! How machines ask a node: liveness, readiness and metrics over plain HTTP, for supervisors and Prometheus.
//!
//! `GET /livez`, `/readyz`, `/metrics`; nothing here changes anything, and nothing here is secret. There is no
//! authentication, so it listens where the configuration says and nowhere by default. What it tells comes through one
//! trait, [`Probe`]. Everything is bounded: connections, size and number of headers, the time of a whole connection, which
//! carries one request.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::metrics;
use crate::readiness::{Readiness, Reason};

/// Longest life of a connection. A look at the node takes at most three seconds of it.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a request's head; hyper takes no less.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 32;
/// Rest after a failed accept: most likely no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What can be asked. Each answer comes within some seconds, whatever the node does.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Whether the process does its work: its node's thread beats.
    async fn is_alive(&self) -> bool;

    /// Whether the node contributes, and why not.
    async fn readiness(&self) -> Readiness;

    /// All metrics, in the text format.
    async fn metrics(&self) -> String;
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (`monitoring.listen`)")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Listener {
    /// Binds the address, for at most `connections_max` connections at a time. To be called within the runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: SocketAddr, connections_max: usize) -> Result<Self, BindError> {
        if !address.ip().is_loopback() {
            warn!(%address, "monitoring is not on loopback: it has no authentication, see docs/configuration.md");
        }
        let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
        Ok(Self { listener, places: Arc::new(Semaphore::new(connections_max.max(1))) })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

/// Serves until `stop` resolves; open connections are dropped then.
pub async fn serve<P: Probe>(listener: Listener, probe: Arc<P>, stop: impl Future<Output = ()> + Send) {
    tokio::pin!(stop);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let _task = connections.spawn(connection(stream, place, Arc::clone(&probe)));
            }
            Err(error) => {
                warn!(%error, "a connection to monitoring cannot be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &Listener) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(&listener.places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.listener.accept().await?;
    Ok((stream, place))
}

async fn connection<P: Probe>(stream: TcpStream, place: OwnedSemaphorePermit, probe: Arc<P>) {
    let service = hyper::service::service_fn(move |request| {
        let probe = Arc::clone(&probe);
        async move { Ok::<_, Infallible>(answer(&request, probe.as_ref()).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false);
    match tokio::time::timeout(CONNECTION_MAX, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection to monitoring broke"),
        Err(_) => debug!("a connection to monitoring took too long"),
    }
    drop(place);
}

async fn answer<P: Probe>(request: &Request<Incoming>, probe: &P) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return reply(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" if probe.is_alive().await => reply(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/livez" => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the node's thread does not answer\n".to_owned()),
        "/readyz" => readyz(&probe.readiness().await, wants_json(request)),
        _ => reply(StatusCode::OK, HeaderValue::from_static(metrics::MEDIA_TYPE), probe.metrics().await),
    }
}

fn wants_json(request: &Request<Incoming>) -> bool {
    let asked = request.uri().query().unwrap_or_default().split('&').any(|part| part == "format=json");
    let accepts = request.headers().get_all(ACCEPT).iter();
    asked || accepts.filter_map(|value| value.to_str().ok()).any(|value| value.contains("application/json"))
}

fn readyz(readiness: &Readiness, json: bool) -> Response<Full<Bytes>> {
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if json { reply(status, JSON, as_json(readiness)) } else { reply(status, TEXT, as_text(readiness)) }
}

/// `ready` or one line per reason; what is merely degraded stands behind, marked.
fn as_text(readiness: &Readiness) -> String {
    let mut text = if readiness.is_ready() { "ready\n".to_owned() } else { String::new() };
    for Reason { name, text: why } in readiness.not_ready() {
        text += &format!("{}: {why}\n", name.word());
    }
    for Reason { name, text: why } in readiness.degraded() {
        text += &format!("degraded {}: {why}\n", name.word());
    }
    text
}

fn as_json(readiness: &Readiness) -> String {
    let one = |reason: &Reason| serde_json::json!({ "name": reason.name.word(), "text": reason.text });
    let all = serde_json::json!({
        "ready": readiness.is_ready(),
        "reasons": readiness.not_ready().map(one).collect::<Vec<_>>(),
        "degraded": readiness.degraded().map(one).collect::<Vec<_>>(),
    });
    format!("{all}\n")
}

fn reply(status: StatusCode, kind: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
