//! chain-client
