//! The wire: generated messages, clients and (feature `server`) servers of the packages under `proto/`.
//!
//! Refuses to know what any field means. The definitions are our own, written from the facts in
//! `docs/zrchain.md`; names and numbers are the chain's. `prost::Name` gives each message its type URL.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rust_2018_idioms,
    rustdoc::all,
    clippy::all,
    clippy::pedantic
)]

include!(concat!(env!("OUT_DIR"), "/packages.rs"));

/// All definitions as an encoded `FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
