//! What the process asks of the system so that secrets stay in memory: no core dumps, no reading by others, no swap.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tracing::{info, warn};

/// Hardens the process. Core dumps are off when it returns; memory is locked where the system allows it, and the log says
/// whether it did.
///
/// # Errors
/// When core dumps cannot be turned off.
pub fn begin() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    lock_memory();
    Ok(())
}

/// Locks pages as they are touched. Only without a limit: under one, a later allocation would fail and end the process.
fn lock_memory() {
    if getrlimit(Resource::Memlock).current.is_some() {
        warn!("memory is not locked and may be swapped to disk: run with LimitMEMLOCK=infinity, or without swap");
        return;
    }
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => info!("memory is locked"),
        Err(reason) => warn!(%reason, "memory is not locked and may be swapped to disk"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_dumps_are_off_afterwards() {
        begin().unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
