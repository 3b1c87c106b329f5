//! JSON-RPC over HTTP, with a bound on replies.
//!
//! alloy's own transport reads replies of any size, follows redirects and writes the whole address into its spans, where
//! providers keep their keys. This one does none of that, and holds the id of a reply against the question's.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use alloy_json_rpc::{Id, RequestPacket, ResponsePacket};
use alloy_transport::{TransportError, TransportErrorKind, TransportFut};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use tower::Service;
use url::Url;

use crate::endpoint::with_sources;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);

/// The way to one endpoint.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: Uri,
    headers: HeaderMap,
    reply_bytes_max: usize,
}

/// Why there is no reply, or none that is taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// No connection, or it ended.
    #[error("{0}")]
    Connection(String),
    /// HTTP's own no.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// It asks for fewer calls; for how long, if it says so.
    #[error("it asks for fewer calls")]
    Limited(Option<Duration>),
    /// More bytes than the bound.
    #[error("the reply is larger than the bound")]
    TooLarge,
    /// Not the reply to this question.
    #[error("{0}")]
    Form(String),
}

impl Transport {
    /// Prepares it; a connection is made when something is asked. User and password of the address become a header.
    pub(super) fn new(address: &Url, reply_bytes_max: usize) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(credentials) = credentials(address)? {
            headers.insert(AUTHORIZATION, credentials);
        }
        let mut bare = address.clone();
        if bare.set_username("").is_err() || bare.set_password(None).is_err() {
            return Err("its address names no host".to_owned());
        }
        let address = bare.as_str().parse().map_err(|_| "its address is none for HTTP".to_owned())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(bare.scheme() == "https")?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, address, headers, reply_bytes_max })
    }

    async fn exchange(self, question: RequestPacket) -> Result<ResponsePacket, Broken> {
        let Some(id) = question.as_single().map(|single| single.id().clone()) else {
            return Err(Broken::Form("batches are not asked".to_owned()));
        };
        let body = question.serialize().map_err(|error| Broken::Form(error.to_string()))?;
        let mut request = Request::post(self.address)
            .body(Full::from(Box::<str>::from(body).into_string()))
            .map_err(|error| Broken::Form(error.to_string()))?;
        *request.headers_mut() = self.headers;
        let reply = self.client.request(request).await.map_err(|error| Broken::Connection(with_sources(&error)))?;
        let (status, again) = (reply.status(), retry_after(reply.headers()));
        if status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::SERVICE_UNAVAILABLE && again.is_some()) {
            return Err(Broken::Limited(again));
        }
        let body = Limited::new(reply.into_body(), self.reply_bytes_max).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Broken::TooLarge,
            Err(error) => Broken::Connection(with_sources(error.as_ref())),
        })?;
        match serde_json::from_slice(&body.to_bytes()) {
            Ok(reply) => answers(id, reply),
            Err(_) if !status.is_success() => Err(Broken::Status(status)),
            Err(error) => Err(Broken::Form(format!("no JSON-RPC: {error}"))),
        }
    }
}

/// The one reply to the one question. An error may come without the question's id.
fn answers(id: Id, reply: ResponsePacket) -> Result<ResponsePacket, Broken> {
    match &reply {
        ResponsePacket::Single(one) if one.id == id || (one.id == Id::None && one.payload.is_error()) => Ok(reply),
        ResponsePacket::Single(_) => Err(Broken::Form("the reply to another question".to_owned())),
        ResponsePacket::Batch(_) => Err(Broken::Form("several replies to one question".to_owned())),
    }
}

/// The form in seconds; the other one is a date, and this room has no clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// HTTP's basic authorisation, from an address with a user.
fn credentials(address: &Url) -> Result<Option<HeaderValue>, String> {
    if address.username().is_empty() && address.password().is_none() {
        return Ok(None);
    }
    let mut pair: Vec<u8> = percent_decode_str(address.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(address.password().unwrap_or_default()));
    let value = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(value).map_err(|_| "its credentials are none for HTTP".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The system's roots. Without TLS none are needed, and nothing leads there from an address without it.
fn tls(is_used: bool) -> Result<rustls::ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if is_used {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("this machine has no root certificates: install ca-certificates".to_owned());
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: RequestPacket) -> Self::Future {
        let exchange = self.clone().exchange(question);
        Box::pin(async move { exchange.await.map_err(TransportErrorKind::custom) })
    }
}
