//! The identity module: keyrings (who answers) and workspaces (who asks).

pub(crate) mod keyring;
pub(crate) mod workspace;

use super::fault::TxFault;

const CODESPACE: &str = "identity";

pub(crate) fn not_found(what: &str) -> TxFault {
    TxFault::module(CODESPACE, 1503, format!("{what} not found: not found"))
}

pub(crate) fn invalid(what: impl std::fmt::Display) -> TxFault {
    TxFault::module(CODESPACE, 1505, format!("{what}: invalid argument"))
}

pub(crate) fn inactive(keyring: &str) -> TxFault {
    TxFault::module(CODESPACE, 1507, format!("keyring {keyring} is inactive: inactive keyring"))
}
