//! Logs: text for people or JSON for programs, to standard error or a file.
//!
//! Redaction is by construction, not by search: types that hold secrets print a placeholder ([`crate::store::Entry`],
//! [`crate::store::Unlock`], [`crate::identity::NodeIdentity`], endpoint addresses), bodies of messages are never logged
//! by us, and whatever the operator's filter says, other people's code is heard only from `info` upwards, because below
//! that libraries print the bytes they move.

use crate::config::{LogFormat, RawLog};
use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates whose lines below `info` are known to hold no secret: our own.
const OURS: [&str; 6] = ["keyring", "keyringd", "transport", "chain_client", "mpc_core", "devnet"];

/// The room of lines that say how long something took; heard with `keyring::timing=debug`. `./run bench cluster` reads them.
pub const TIMING: &str = "keyring::timing";

/// Logging cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// The filter does not parse.
    #[error("log.level is no filter")]
    Filter(#[from] ParseError),
    /// The file cannot be opened.
    #[error("cannot append to the log file {path}; correct `log.file`")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Logging has begun already in this process.
    #[error("logging has begun already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins logging for the whole process.
///
/// # Errors
/// [`LoggingError`].
pub fn begin(log: &RawLog) -> Result<(), LoggingError> {
    let Some(path) = &log.file else {
        subscriber(log, std::io::stderr, std::io::stderr().is_terminal())?.try_init()?;
        return Ok(());
    };
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(|source| LoggingError::File { path: path.clone(), source })?;
    subscriber(log, Mutex::new(file), false)?.try_init()?;
    Ok(())
}

fn subscriber<W>(log: &RawLog, writer: W, colours: bool) -> Result<impl Subscriber + Send + Sync, ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.level)?.and(filter_fn(may_be_heard));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours && log.format == LogFormat::Text);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines))
}

fn may_be_heard(line: &Metadata<'_>) -> bool {
    let room = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || OURS.contains(&room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;
    use crate::store::{Entry, Table, Unlock};
    use std::io::Write;
    use std::sync::Arc;
    use zeroize::Zeroizing;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat, say: impl FnOnce()) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let log = RawLog { level: level.to_owned(), format, file: None };
        let subscriber = subscriber(&log, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn secrets_given_to_the_log_by_mistake_do_not_reach_it() {
        let planted = "planted-secret-planted-secret-32";
        let bytes = Zeroizing::new(*planted.as_bytes().first_chunk::<32>().unwrap());
        let written = logged("trace", LogFormat::Text, || {
            tracing::info!(entry = ?Entry::put(Table::Share, "k", planted), "a batch");
            tracing::info!(unlock = ?Unlock::Passphrase(Zeroizing::new(planted.into())), "a passphrase");
            tracing::info!(unlock = ?Unlock::KeyFile(bytes.clone()), "a key file");
            tracing::info!(identity = ?NodeIdentity::from_seed(&bytes), "an identity");
        });
        assert_eq!(written.lines().count(), 4, "{written}");
        assert!(!written.contains(planted) && !written.contains(&hex::encode(planted)), "{written}");
        assert!(!written.contains("112, 108, 97, 110"), "nor as a list of numbers: {written}");
    }

    #[test]
    fn other_peoples_code_is_never_heard_below_info() {
        let written = logged("trace", LogFormat::Text, || {
            tracing::trace!(target: "h2::codec", "bytes of a frame");
            tracing::debug!(target: "libp2p_noise", "bytes of a handshake");
            tracing::info!(target: "libp2p_swarm", "a connection");
            tracing::debug!(target: "keyring::node", "a round");
        });
        assert!(!written.contains("bytes of"), "{written}");
        assert!(written.contains("a connection") && written.contains("a round"), "{written}");
    }

    #[test]
    fn json_lines_are_objects_with_their_fields() {
        let written = logged("info", LogFormat::Json, || tracing::info!(request = "zenrock/key/1", "settled"));
        let line: serde_json::Value = serde_json::from_str(written.trim()).unwrap();
        assert_eq!((&line["request"], &line["message"]), (&"zenrock/key/1".into(), &"settled".into()));
    }

    #[test]
    fn a_filter_that_does_not_parse_is_refused() {
        let log = RawLog { level: "keyring=loud".to_owned(), ..RawLog::default() };
        assert!(subscriber(&log, std::io::sink, false).is_err());
    }
}
