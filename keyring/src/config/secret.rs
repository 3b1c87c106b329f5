//! Where a secret lies: a reference in the config file, resolved when it is needed, wiped when dropped.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most bytes of one secret.
const SECRET_BYTES_MAX: u64 = 4_096;
/// Where systemd says it has put a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A reference to a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// A regular file that group and others cannot touch (mode 0600 or 0400).
    File(PathBuf),
    /// An environment variable. Weaker than a file: children and crash reports inherit it.
    Env(String),
    /// A systemd credential (`LoadCredential=`), by name.
    Credential(String),
    /// A PKCS#11 object. Not supported: the name is known only to say so clearly.
    Pkcs11(String),
}

/// The process environment, as an argument: tests bring their own.
pub trait Environment {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<OsString>;
}

/// The real one.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// Why a secret could not be had. Names the place, never the contents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret in {path}; put it there, for the daemon's user alone")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner can touch the file.
    #[error("the secret in {path} has mode {mode:04o}; take it from group and others with chmod 600")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path is no regular file.
    #[error("the secret in {path} is no regular file; name a file")]
    Kind {
        /// Which path.
        path: PathBuf,
    },
    /// The variable is not set.
    #[error("the environment variable {name} is not set; set it for this process")]
    Unset {
        /// Which one.
        name: String,
    },
    /// The contents have a wrong form.
    #[error("the secret in {place} is not {wanted}")]
    Form {
        /// Where it lies.
        place: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The file is gone, and the store that was made with it stands.
    #[error(
        "the secret in {path} is gone, but the store stands: put it back; a new one would make another party of this"
    )]
    Lost {
        /// Which file.
        path: PathBuf,
    },
    /// PKCS#11 is not done.
    #[error("PKCS#11 is not supported by this version; use file, env or credential")]
    Unsupported,
}

impl SecretRef {
    /// The secret's bytes as they lie.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn bytes(&self, environment: &dyn Environment) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        match self {
            Self::File(path) => read(path, true),
            Self::Env(name) => {
                let value = environment.variable(name).ok_or_else(|| SecretError::Unset { name: name.clone() })?;
                Ok(Zeroizing::new(value.into_vec()))
            }
            Self::Credential(name) => {
                let unset = || SecretError::Unset { name: CREDENTIALS_DIRECTORY.to_owned() };
                let folder = environment.variable(CREDENTIALS_DIRECTORY).ok_or_else(unset)?;
                // systemd guards the folder and may show group bits that are an access list's mask.
                read(&PathBuf::from(folder).join(name), false)
            }
            Self::Pkcs11(_) => Err(SecretError::Unsupported),
        }
    }

    /// A key of 32 bytes, written as such or as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn key(&self, environment: &dyn Environment) -> Result<Zeroizing<[u8; 32]>, SecretError> {
        key_from(&self.bytes(environment)?).ok_or_else(|| self.form("32 bytes or 64 hexadecimal digits"))
    }

    /// A passphrase: the bytes without one line end.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn phrase(&self, environment: &dyn Environment) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let mut phrase = self.bytes(environment)?;
        if phrase.last() == Some(&b'\n') {
            phrase.pop();
        }
        if phrase.last() == Some(&b'\r') {
            phrase.pop();
        }
        if phrase.is_empty() { Err(self.form("a passphrase: it is empty")) } else { Ok(phrase) }
    }

    fn form(&self, wanted: &'static str) -> SecretError {
        SecretError::Form { place: self.to_string(), wanted }
    }
}

/// The place, never the contents.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Pkcs11(name) => write!(f, "PKCS#11 object {name}"),
        }
    }
}

/// A key as people keep it: 32 bytes, or 64 hexadecimal digits with blanks around them.
pub(crate) fn key_from(secret: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if secret.len() == key.len() {
        key.copy_from_slice(secret);
    } else {
        hex::decode_to_slice(secret.trim_ascii(), key.as_mut_slice()).ok()?;
    }
    Some(key)
}

/// Reads one small file. What is checked is the file that was opened, whatever happens to its name meanwhile.
fn read(path: &Path, guarded: bool) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(SecretError::Kind { path: path.to_owned() });
    }
    let mode = facts.mode() & 0o7777;
    if guarded && mode & 0o077 != 0 {
        return Err(SecretError::Mode { path: path.to_owned(), mode });
    }
    // Room for the largest at once: a growing buffer would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX as usize + 1));
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretError::Form { place: path.display().to_string(), wanted: "a secret: it is over 4096 bytes" });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    struct Variables(BTreeMap<&'static str, OsString>);

    impl Environment for Variables {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.0.get(name).cloned()
        }
    }

    fn file(folder: &tempfile::TempDir, name: &str, contents: &[u8], mode: u32) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn nothing() -> Variables {
        Variables(BTreeMap::new())
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_and_a_private_one_taken() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o677] {
            let secret = SecretRef::File(file(&folder, "open", b"x", mode));
            assert!(matches!(secret.bytes(&nothing()), Err(SecretError::Mode { .. })), "{mode:o}");
        }
        for mode in [0o600, 0o400] {
            let secret = SecretRef::File(file(&folder, &format!("private-{mode}"), b"x", mode));
            assert_eq!(&**secret.bytes(&nothing()).unwrap(), b"x");
        }
    }

    #[test]
    fn keys_are_taken_raw_and_in_hexadecimal_and_in_no_other_length() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{}\n", hex::encode([7; 32]));
        for (name, contents) in [("raw", vec![7; 32]), ("hex", text.into_bytes())] {
            let secret = SecretRef::File(file(&folder, name, &contents, 0o600));
            assert_eq!(*secret.key(&nothing()).unwrap(), [7; 32]);
        }
        let short = SecretRef::File(file(&folder, "short", &[7; 31], 0o600));
        assert!(matches!(short.key(&nothing()), Err(SecretError::Form { .. })));
    }

    #[test]
    fn a_passphrase_loses_one_line_end_and_nothing_else() {
        let variables = Variables(BTreeMap::from([("PHRASE", " two words \r\n".into()), ("EMPTY", "\n".into())]));
        let phrase = SecretRef::Env("PHRASE".to_owned()).phrase(&variables).unwrap();
        assert_eq!(&**phrase, b" two words ");
        assert!(SecretRef::Env("EMPTY".to_owned()).phrase(&variables).is_err());
        assert!(matches!(SecretRef::Env("MISSING".to_owned()).phrase(&variables), Err(SecretError::Unset { .. })));
    }

    #[test]
    fn a_credential_is_read_from_the_service_managers_folder() {
        let folder = tempfile::tempdir().unwrap();
        file(&folder, "phrase", b"from systemd", 0o440);
        let variables = Variables(BTreeMap::from([(CREDENTIALS_DIRECTORY, folder.path().as_os_str().to_owned())]));
        let secret = SecretRef::Credential("phrase".to_owned());
        assert_eq!(&**secret.phrase(&variables).unwrap(), b"from systemd");
        assert!(matches!(secret.bytes(&nothing()), Err(SecretError::Unset { .. })));
    }

    #[test]
    fn a_folder_or_a_large_file_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(SecretRef::File(folder.path().to_owned()).bytes(&nothing()), Err(SecretError::Kind { .. })));
        let large = SecretRef::File(file(&folder, "large", &[0; 5_000], 0o600));
        assert!(matches!(large.bytes(&nothing()), Err(SecretError::Form { .. })));
    }
}
