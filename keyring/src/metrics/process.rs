//! What the system says of this process. Two files of `/proc`; where there are none, nothing is known and nothing shown.

/// Facts of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Resident memory in bytes.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
    /// When this daemon began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
}

impl ProcessFacts {
    /// Asks the system.
    #[must_use]
    pub fn read(started_ms: u64) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // One of them is the folder that is being read.
        let descriptors =
            std::fs::read_dir("/proc/self/fd").ok().map(|folder| (folder.count() as u64).saturating_sub(1));
        Self { resident_bytes: resident_bytes(&status), descriptors, started_ms }
    }
}

/// `VmRSS:     1234 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_understood() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\nThreads: 1\n"), Some(1_234 * 1_024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        assert_eq!(resident_bytes("VmRSS: many kB"), None);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let facts = ProcessFacts::read(7);
        assert!(facts.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{facts:?}");
        assert!(facts.descriptors.is_some_and(|count| count >= 3), "{facts:?}");
    }
}
