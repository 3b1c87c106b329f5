//! The edge: an error is told once, with all its causes, and becomes an exit code.
//!
//! | Code | Meaning |
//! | --- | --- |
//! | 64 | what a person gave is wrong: command line, configuration, roster, card, secret, or a store it does not fit |
//! | 70 | an invariant is broken, or the store is damaged or does not write: look before starting again |
//! | 1 | everything else |

use crate::app::BuildError;
use crate::ceremony::CeremonyError;
use crate::config::{ConfigError, SecretError};
use crate::identity::IdentityError;
use crate::roster::RosterError;
use crate::store::{ArchiveError, OpenError, StoreError};
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Any error, at the end of its way.
pub struct Report(Box<dyn Error + Send + Sync>);

/// A promise of this program to itself does not hold. Stops the node, loudly.
#[derive(Debug, thiserror::Error)]
#[error("broken invariant: {0}")]
pub struct Broken(pub String);

/// What a person gave on the command line does not do; says which part, and what does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything else.
    Failed = 1,
    /// As `EX_USAGE` of sysexits.
    Misused = 64,
    /// As `EX_SOFTWARE` of sysexits.
    Broken = 70,
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Report {
    /// The exit code that the error, or else the first of its causes that has one, stands for.
    pub fn exit(&self) -> Exit {
        self.chain().find_map(exit_of).unwrap_or(Exit::Failed)
    }

    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.0);
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error)
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The error and each cause on a line of its own. What repeats the line above is left out.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = String::new();
        for error in self.chain() {
            let line = error.to_string();
            if above.is_empty() {
                f.write_str(&line)?;
            } else if !above.ends_with(&line) {
                write!(f, "\n  because {line}")?;
            }
            above = line;
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn exit_of(error: &(dyn Error + 'static)) -> Option<Exit> {
    if error.is::<ConfigError>()
        || error.is::<SecretError>()
        || error.is::<RosterError>()
        || error.is::<IdentityError>()
        || error.is::<CeremonyError>()
        || error.is::<Misuse>()
    {
        return Some(Exit::Misused);
    }
    if error.is::<StoreError>() || error.is::<Broken>() {
        return Some(Exit::Broken);
    }
    if let Some(ArchiveError::Stranger | ArchiveError::CutShort | ArchiveError::Damaged { .. }) = error.downcast_ref() {
        return Some(Exit::Misused);
    }
    match error.downcast_ref::<BuildError>() {
        Some(
            BuildError::Name { .. }
            | BuildError::Owner { .. }
            | BuildError::HalfRestored { .. }
            | BuildError::Account { .. }
            | BuildError::Contract { .. }
            | BuildError::EvmEndpoint { .. }
            | BuildError::Endpoint { .. },
        ) => {
            return Some(Exit::Misused);
        }
        Some(BuildError::Recover(_)) => return Some(Exit::Broken),
        // The cause decides.
        _ => {}
    }
    error.downcast_ref::<OpenError>().map(|error| match error {
        OpenError::Header { .. } | OpenError::Store(_) => Exit::Broken,
        OpenError::Path { .. } | OpenError::InUse { .. } => Exit::Failed,
        OpenError::Missing { .. }
        | OpenError::Exists { .. }
        | OpenError::WrongKey
        | OpenError::WrongKind { .. }
        | OpenError::WeakPassphrase { .. }
        | OpenError::Mode { .. }
        | OpenError::NewerSchema { .. } => Exit::Misused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the node does not start")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    fn wrapped(error: impl Error + Send + Sync + 'static) -> Report {
        Report::from(Outer(Box::new(error)))
    }

    #[test]
    fn the_exit_code_is_found_however_deep_its_reason_lies() {
        assert_eq!(wrapped(OpenError::WrongKey).exit(), Exit::Misused);
        assert_eq!(wrapped(OpenError::NewerSchema { found: 9, known: 1 }).exit(), Exit::Misused);
        assert_eq!(wrapped(OpenError::Header { what: "x" }).exit(), Exit::Broken);
        assert_eq!(wrapped(OpenError::InUse { path: "x".into() }).exit(), Exit::Failed);
        assert_eq!(wrapped(StoreError::Halted).exit(), Exit::Broken);
        assert_eq!(wrapped(SecretError::Unsupported).exit(), Exit::Misused);
        assert_eq!(wrapped(CeremonyError::NotOurs).exit(), Exit::Misused);
        assert_eq!(wrapped(Misuse("x".to_owned())).exit(), Exit::Misused);
        assert_eq!(wrapped(Broken("x".to_owned())).exit(), Exit::Broken);
        let name = BuildError::Name { configured: "alpha".to_owned(), listed: "beta".to_owned() };
        assert_eq!(Report::from(name).exit(), Exit::Misused);
        assert_eq!(Report::from(BuildError::Open(OpenError::WrongKey)).exit(), Exit::Misused);
        let contract = BuildError::Contract { contract: "eip155:1/0x0".to_owned() };
        assert!(!contract.to_string().contains("  "), "{contract}");
        assert_eq!(Report::from(contract).exit(), Exit::Misused);
        assert_eq!(Report::from("anything").exit(), Exit::Failed);
    }

    #[test]
    fn every_cause_is_told_once() {
        let disk = std::io::Error::other("no space left");
        let failed = StoreError::Medium { act: "write", source: Box::new(disk) };
        let told = wrapped(OpenError::Store(failed)).to_string();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert_eq!(lines[0], "the node does not start");
        assert!(lines[1].starts_with("  because storage failed to write"), "{told}");
        assert_eq!(lines[2], "  because no space left");
    }
}
