//! What chains ask and what we answer. No MPC.

pub mod proto;
