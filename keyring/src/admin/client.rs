//! The operator's side of the socket.

use super::proto::admin_client::AdminClient;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Longest wait for one reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// No node answers on this socket.
#[derive(Debug, thiserror::Error)]
#[error("no node answers on {path}; is `keyringd run` alive, and is this its user?")]
pub struct ConnectError {
    /// The socket.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: tonic::transport::Error,
}

/// Connects to the node behind this socket.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(path: &Path) -> Result<AdminClient<Channel>, ConnectError> {
    let socket = path.to_owned();
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
    });
    // The address is never resolved: the connector knows the socket.
    let channel = Endpoint::from_static("http://admin.invalid")
        .timeout(CALL_TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError { path: path.to_owned(), source })?;
    Ok(AdminClient::new(channel))
}
