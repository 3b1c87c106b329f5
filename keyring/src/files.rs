//! Files that set-up leaves behind: whole or not at all, and never over one that exists unless the caller says so. A
//! crash in between leaves a file with a random name beside it, of the same mode.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Mode of what only its owner may read.
pub const PRIVATE: u32 = 0o600;
/// Mode of what is sent to others anyway.
pub const PUBLIC: u32 = 0o644;

/// Writes a new file and syncs it and its folder. The process's mask may take bits from `mode`.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is one; what the disk says otherwise. Nothing was written under this name.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    prepared(path, bytes, mode)?.persist_noclobber(path).map_err(|failed| failed.error)?;
    sync_folder(path)
}

/// Writes a file in the place of the one that may be there.
///
/// # Errors
/// What the disk says; the former file is still there then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    prepared(path, bytes, mode)?.persist(path).map_err(|failed| failed.error)?;
    sync_folder(path)
}

/// Makes a folder, and those above it, that only their owner may enter. Those that exist are left as they are.
///
/// # Errors
/// What the disk says.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder of a file: `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn prepared(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".new-").permissions(Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new(&path, b"first", PRIVATE).unwrap();
        assert_eq!(mode(&path), PRIVATE);
        let refused = write_new(&path, b"second", PRIVATE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_replaced_file_has_the_new_contents_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("draft");
        replace(&path, b"a long first draft", PRIVATE).unwrap();
        replace(&path, b"short", PRIVATE).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn folders_that_are_made_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a").join("b");
        make_private_folder(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o700));
        make_private_folder(&inner).unwrap();
    }
}
