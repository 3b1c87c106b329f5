//! One endpoint while it is asked: bounded waits, few calls at once, and its chain's id before anything else.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alloy_json_rpc::{ErrorPayload, RpcError};
use alloy_network::AnyNetwork;
use alloy_primitives::Bytes;
use alloy_provider::{Provider as _, RootProvider};
use alloy_rpc_client::RpcClient;
use alloy_transport::{TransportError, TransportErrorKind, TransportResult};
use tokio::sync::Semaphore;
use url::Url;

use super::transport::{Broken, Transport};
use super::{EvmError, Settings};
use crate::name::EndpointId;
use crate::submission::cut;

/// An endpoint with its bounds.
pub(super) struct Node {
    pub(super) id: EndpointId,
    pub(super) name: String,
    pub(super) provider: RootProvider<AnyNetwork>,
    call_timeout: Duration,
    permits: Semaphore,
    vouched: AtomicBool,
    final_shown: AtomicU64,
}

impl Node {
    pub(super) fn new(id: EndpointId, name: String, address: &Url, settings: &Settings) -> Result<Self, String> {
        let transport = Transport::new(address, settings.reply_bytes_max)?;
        Ok(Self {
            id,
            name,
            provider: RootProvider::new(RpcClient::new(transport, false)),
            call_timeout: settings.call_timeout,
            permits: Semaphore::new(settings.calls_at_once.max(1)),
            vouched: AtomicBool::new(false),
            final_shown: AtomicU64::new(0),
        })
    }

    /// Makes sure that the endpoint serves this chain, before it is asked anything else, and again after it failed: what
    /// stands behind an address changes.
    pub(super) async fn vouch(&self, chain: u64) -> Result<(), EvmError> {
        if self.vouched.load(Ordering::Relaxed) {
            return Ok(());
        }
        let shown = self.call(self.provider.get_chain_id()).await?;
        if shown != chain {
            return Err(self.malformed(format!("it serves chain {shown}, not {chain}")));
        }
        self.vouched.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn forget_vouch(&self) {
        self.vouched.store(false, Ordering::Relaxed);
    }

    /// The highest block that this endpoint has shown as final, with all that proves it.
    pub(super) fn final_shown(&self) -> u64 {
        self.final_shown.load(Ordering::Relaxed)
    }

    pub(super) fn showed_final(&self, height: u64) {
        self.final_shown.fetch_max(height, Ordering::Relaxed);
    }

    /// Waits for a reply, within the bound.
    pub(super) async fn call<T>(&self, call: impl IntoFuture<Output = TransportResult<T>>) -> Result<T, EvmError> {
        self.attempt(call).await?.map_err(|_| self.refused(3, "the call reverts"))
    }

    /// The same for calls that may revert: with which bytes.
    pub(super) async fn attempt<T>(
        &self,
        call: impl IntoFuture<Output = TransportResult<T>>,
    ) -> Result<Result<T, Bytes>, EvmError> {
        let permitted = async {
            let _permit = self.permits.acquire().await;
            call.await
        };
        match tokio::time::timeout(self.call_timeout, permitted).await {
            Ok(Ok(reply)) => Ok(Ok(reply)),
            Ok(Err(error)) => reverted(&error).map(Err).ok_or_else(|| self.failed(error)),
            Err(_) => Err(self.unreachable(format!("no reply within {:?}", self.call_timeout))),
        }
    }

    fn failed(&self, error: TransportError) -> EvmError {
        match error {
            RpcError::ErrorResp(said) if is_limit(&said) => self.limited(None),
            RpcError::ErrorResp(said) => self.refused(said.code, said.message),
            RpcError::NullResp => self.malformed("nothing, where something must be"),
            RpcError::DeserError { err, .. } => self.malformed(err.to_string()),
            RpcError::Transport(TransportErrorKind::Custom(broken)) => match broken.downcast::<Broken>() {
                Ok(broken) => self.broken(*broken),
                Err(other) => self.unreachable(other.to_string()),
            },
            other => self.unreachable(other.to_string()),
        }
    }

    fn broken(&self, broken: Broken) -> EvmError {
        match broken {
            Broken::TooLarge => EvmError::TooLarge { endpoint: self.name.clone() },
            Broken::Limited(wait) => self.limited(wait),
            Broken::Form(what) => self.malformed(what),
            Broken::Status(status) if status.is_client_error() => {
                self.refused(i64::from(status.as_u16()), status.canonical_reason().unwrap_or("refused"))
            }
            Broken::Status(_) | Broken::Connection(_) => self.unreachable(broken.to_string()),
        }
    }

    fn limited(&self, wait: Option<Duration>) -> EvmError {
        EvmError::Limited { endpoint: self.name.clone(), wait: wait.unwrap_or_default() }
    }

    fn refused(&self, code: i64, reason: impl Into<String>) -> EvmError {
        EvmError::Refused { endpoint: self.name.clone(), code, reason: cut(reason.into()) }
    }

    fn unreachable(&self, reason: String) -> EvmError {
        EvmError::Unreachable { endpoint: self.name.clone(), reason: cut(reason) }
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> EvmError {
        EvmError::Malformed { endpoint: self.name.clone(), what: cut(what.into()) }
    }
}

/// Whether the endpoint wants to be left alone. Providers say so in many ways; alloy knows them, and takes a missing
/// block for one more.
fn is_limit(said: &ErrorPayload) -> bool {
    said.is_retry_err() && said.message != "header not found"
}

/// What a call reverted with, if that is what the endpoint says: empty where a contract said nothing.
fn reverted(error: &TransportError) -> Option<Bytes> {
    let said = error.as_error_resp()?;
    let data = said.data.as_ref().and_then(|data| serde_json::from_str::<String>(data.get()).ok());
    // As Nethermind puts it, without a word of it in the message.
    let named = data.as_deref().and_then(|data| data.strip_prefix("Reverted "));
    // 3 is the code of the specification; others say so in words.
    let is_revert = said.code == 3 || named.is_some() || said.message.to_lowercase().contains("revert");
    is_revert.then(|| named.or(data.as_deref()).and_then(|data| data.parse().ok()).unwrap_or_default())
}
