//! The socket: private from its first moment, and open to few.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;
use tracing::warn;

/// A bound admin socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    places: Arc<Semaphore>,
}

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A process answers on it.
    #[error("another process listens on {path}; is the node running already?")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else than a socket lies there.
    #[error("{path} is no socket and is not overwritten; correct `node.admin_socket`")]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen on {path}; correct `node.admin_socket`")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A connection that holds its place until it ends.
pub(super) struct Guarded {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Binds the socket, with mode 0600, for at most `connections_max` connections at a time. A socket that a dead
    /// process left behind is replaced. To be called within the runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path, connections_max: usize) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        clear(path)?;
        // Born in a private folder and moved when it is private itself: nobody can connect in between.
        let nursery = path.with_extension("new");
        let born = nursery.join("s");
        let _gone = (fs::remove_file(&born), fs::remove_dir(&nursery));
        DirBuilder::new().mode(0o700).create(&nursery).map_err(failed)?;
        let bound = UnixListener::bind(&born).and_then(|listener| {
            fs::set_permissions(&born, Permissions::from_mode(0o600))?;
            fs::rename(&born, path)?;
            Ok(listener)
        });
        let _gone = (fs::remove_file(&born), fs::remove_dir(&nursery));
        let places = Arc::new(Semaphore::new(connections_max.max(1)));
        Ok(Self { listener: bound.map_err(failed)?, path: path.to_owned(), places })
    }

    /// The next connection of somebody who may ask.
    pub(super) async fn accept(&self) -> io::Result<Guarded> {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = self.listener.accept().await?;
            let asker = stream.peer_cred()?.uid();
            if asker == 0 || asker == rustix::process::geteuid().as_raw() {
                return Ok(Guarded { stream, _place: place });
            }
            warn!(asker, "a user other than the daemon's asked on the admin socket");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Removes what a dead process left behind, and nothing else.
fn clear(path: &Path) -> Result<(), BindError> {
    let Ok(facts) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !facts.file_type().is_socket() {
        return Err(BindError::Occupied { path: path.to_owned() });
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(BindError::InUse { path: path.to_owned() });
    }
    fs::remove_file(path).map_err(|source| BindError::Io { path: path.to_owned(), source })
}

// === impl Guarded: reads and writes go straight through ===

impl Connected for Guarded {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
