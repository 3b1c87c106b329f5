//! The config file as it is written: names, defaults, nothing checked but form.
//!
//! The comments here are the short form of `docs/configuration.md`; the example is `deploy/keyringd.example.toml`.

use super::{Limits, RawContract, RawDestination, SecretRef};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The node itself.
    pub node: RawNode,
    /// How the store opens.
    pub store: RawStore,
    /// The chains it serves.
    #[serde(default)]
    pub chain: Vec<RawChain>,
    /// Keys made ahead of need.
    #[serde(default)]
    pub shelf: RawShelf,
    /// Every bound that may be moved.
    #[serde(default)]
    pub limits: Limits,
    /// What is logged, how and where.
    #[serde(default)]
    pub log: RawLog,
    /// Where machines ask how the node is; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<RawMonitoring>,
    /// The zrSign contracts it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contract: Vec<RawContract>,
    /// The EVM chains to which simple transactions may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination: Vec<RawDestination>,
}

/// `[node]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNode {
    /// The name of this party in the roster.
    pub name: String,
    /// Folder of the store and, by default, the admin socket. Mode 0700.
    pub data_dir: PathBuf,
    /// The roster that all parties signed.
    pub roster: PathBuf,
    /// The node's Ed25519 seed: 32 bytes, or 64 hexadecimal digits.
    pub identity: SecretRef,
    /// Where peers reach this node: `/ip4/A/tcp/PORT` or `/ip4/A/udp/PORT/quic-v1`.
    pub listen: Vec<String>,
    /// The admin socket, mode 0600. Default `admin.sock` in the data directory.
    #[serde(default)]
    pub admin_socket: Option<PathBuf>,
    /// How long a stop may take before the process ends anyway.
    #[serde(default = "drain_timeout", with = "humantime_serde")]
    pub drain_timeout: Duration,
}

/// `[store]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStore {
    /// What opens the store.
    pub unlock: RawUnlock,
}

/// What opens the store: chosen when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum RawUnlock {
    /// A passphrase of at least 12 bytes, stretched with Argon2id. One line end is taken off.
    Passphrase(SecretRef),
    /// A key of 32 bytes, or 64 hexadecimal digits.
    Keyfile(SecretRef),
}

/// One `[[chain]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChain {
    /// `zrchain`.
    pub kind: String,
    /// The chain's own name: part of every signed transaction.
    pub id: String,
    /// The keyring's address on the chain.
    pub keyring: String,
    /// gRPC addresses of chain nodes, the first preferred. Run your own: what they say is what this party believes.
    pub endpoints: Vec<String>,
    /// The secp256k1 key of this party's account: 32 bytes, or 64 hexadecimal digits.
    pub account: SecretRef,
    /// Ids of keys whose child requests need no workspace owner.
    #[serde(default)]
    pub reserved_keys: Vec<u64>,
    /// Least fee of a transaction, whatever the chain asks.
    #[serde(default)]
    pub fee_floor_urock: u64,
    /// Highest fee of a transaction. Above it the node stops publishing and says so.
    pub fee_ceiling_urock: u64,
    /// How often the chain is asked for news.
    #[serde(default = "poll_interval", with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Longest wait for one reply of an endpoint.
    #[serde(default = "call_timeout", with = "humantime_serde")]
    pub call_timeout: Duration,
}

/// `[shelf]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawShelf {
    /// Finished secp256k1 keys kept per lane.
    pub secp256k1_per_lane: u16,
    /// Finished Ed25519 keys kept per lane.
    pub ed25519_per_lane: u16,
}

impl Default for RawShelf {
    fn default() -> Self {
        Self { secp256k1_per_lane: 4, ed25519_per_lane: 4 }
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// A level, or a filter like `info,keyring=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
    /// A file to append to. Default standard error.
    pub file: Option<PathBuf>,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, file: None }
    }
}

/// `[monitoring]`: liveness, readiness and metrics over HTTP, without authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMonitoring {
    /// Address and port, for example `127.0.0.1:9464`.
    #[serde(default = "monitoring_listen")]
    pub listen: String,
    /// Connections at a time; one more waits.
    #[serde(default = "monitoring_connections_max")]
    pub connections_max: usize,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

fn monitoring_listen() -> String {
    "127.0.0.1:9464".to_owned()
}

const fn monitoring_connections_max() -> usize {
    8
}

const fn drain_timeout() -> Duration {
    Duration::from_secs(20)
}

const fn poll_interval() -> Duration {
    Duration::from_secs(1)
}

const fn call_timeout() -> Duration {
    Duration::from_secs(5)
}
