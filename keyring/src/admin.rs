//! The admin interface: what an operator may ask a running node, over a Unix socket on its own machine.
//!
//! It reads, and takes an operator's word about a peer or a controller; it changes nothing else. What it tells comes through one trait, [`Facts`], which the daemon implements; the
//! messages are those of `proto/keyring/admin/v1/admin.proto`, and their JSON form is the same facts for programs. Beside
//! it on the socket stand gRPC's health and reflection services. The socket has mode 0600 and only the daemon's own user
//! and root are heard.

mod client;
mod listener;
mod server;

pub use client::{ConnectError, connect};
pub use listener::{BindError, Listener};
pub use server::serve;

/// Messages, client and server of the interface.
pub mod proto {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self, reason = "generated")]
    tonic::include_proto!("keyring.admin.v1");
}

use crate::node::Word;
use async_trait::async_trait;

impl std::fmt::Display for proto::Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// The parts of a backup in order, or why it ended before its end.
pub type BackupParts = tokio::sync::mpsc::Receiver<Result<Vec<u8>, String>>;

/// The protocol of the interface, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.bin"));

/// Records in one reply when the asker does not say.
pub const PAGE_DEFAULT: u32 = 100;
/// Most records in one reply.
pub const PAGE_MAX: u32 = 1_000;

/// What a node tells about itself. Each method gives a snapshot; `None` means that the node has ended or does not answer.
#[async_trait]
pub trait Facts: Send + Sync + 'static {
    /// Whether it contributes. Always answers within some seconds: a node that does not answer is not ready.
    async fn is_ready(&self) -> bool;

    /// Who it is, and how it is doing.
    async fn status(&self) -> Option<proto::StatusReply>;

    /// At most `limit` keys behind the id `after`, in the order of their ids.
    async fn keys(&self, after: &str, limit: u32) -> Option<proto::KeysReply>;

    /// At most `limit` requests behind the name `after`, in the order of their names; with the ended ones if `ended`.
    async fn requests(&self, after: &str, limit: u32, ended: bool) -> Option<proto::RequestsReply>;

    /// Takes an operator's word about a peer. The inner error says in words why it cannot be taken.
    async fn decide(&self, peer: &str, word: Word) -> Option<Result<(), String>>;

    /// Begins a backup of the party's memory.
    async fn backup(&self) -> Option<BackupParts>;

    /// All about one request; the inner `None` says that it is not known.
    async fn why(&self, name: &str) -> Option<Option<proto::WhyReply>>;

    /// Command: lets the controller of a chain that stands still go on at this sequence. The inner error says why not.
    async fn resume_controller(&self, chain: &str, sequence: u64) -> Option<Result<(), String>>;

    /// Command: takes an EVM chain that took final blocks back for true as it is now, and reads it anew behind this block.
    /// The inner error says why not.
    async fn rebase_contract(&self, chain: &str, height: u64) -> Option<Result<proto::RebaseContractReply, String>>;

    /// Command: gives up the nonce of the simple transaction of this number. The inner error says why not.
    async fn release_nonce(&self, chain: &str, trace: u64) -> Option<Result<proto::ReleaseNonceReply, String>>;
}

/// The number of records that a reply may hold.
fn page(limit: u32) -> u32 {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

#[cfg(test)]
mod tests;
