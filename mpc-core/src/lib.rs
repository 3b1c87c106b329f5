//! mpc-core
