//! Law 7 on disk, in logs, metrics and backups: after a run every file of every party is searched for everything secret that the run used.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keyring::store::{RocksStore, Store as _, Table};

use crate::ground::{party_folder, randomness, unlock};

/// Files that are secrets.
const SECRET_FILES: [&str; 3] = ["account", "identity", "store.key"];
/// A share ends with its secret scalar (`mpc-core/src/share/codec.rs`).
const SCALAR_LEN: usize = 32;
/// Where the first prime begins in auxiliary data (`mpc-core/src/auxiliary/codec.rs`).
const PRIME_AT: usize = 8;

/// A secret, and how it would look.
struct Needle {
    what: String,
    forms: Vec<Vec<u8>>,
}

impl Needle {
    fn of(what: String, secret: &[u8]) -> Self {
        let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        let forms = vec![
            hex::encode(secret).into_bytes(),
            hex::encode_upper(secret).into_bytes(),
            hex::encode(&reversed).into_bytes(),
            STANDARD_NO_PAD.encode(secret).into_bytes(),
            URL_SAFE_NO_PAD.encode(secret).into_bytes(),
            list.into_bytes(),
            secret.to_vec(),
            reversed,
        ];
        Self { what, forms }
    }
}

fn needles(folder: &Path, parties: usize) -> Vec<Needle> {
    let mut needles = Vec::new();
    for party in 0..parties {
        let own = party_folder(folder, party);
        for name in SECRET_FILES {
            needles.push(Needle::of(format!("{name} of party {party}"), &fs::read(own.join(name)).unwrap()));
        }
        let store = RocksStore::open(&own.join("data"), &unlock(party), randomness(7)).unwrap();
        let shares = store.scan(Table::Share, b"", None, 1_000).unwrap();
        assert!(shares.len() >= 3, "party {party} holds {} shares", shares.len());
        for (key, share) in &shares {
            let scalar = &share[share.len() - SCALAR_LEN..];
            needles.push(Needle::of(format!("share of key {} of party {party}", hex::encode(key)), scalar));
        }
        // Whoever knows a party's primes reads what its peers send it in every run.
        let auxiliary = store.read(Table::Stock, &keyring::node::auxiliary_key(1)).unwrap().expect("it was dealt");
        let prime = &auxiliary[PRIME_AT..PRIME_AT + SCALAR_LEN];
        needles.push(Needle::of(format!("a prime of party {party}"), prime));
    }
    needles
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push(path);
        }
    }
    all
}

fn found(needles: &[Needle], path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let holds = |form: &[u8]| memchr::memmem::find(&bytes, form).is_some();
    let hits = needles.iter().filter(|needle| needle.forms.iter().any(|form| holds(form)));
    hits.map(|needle| format!("{} lies in {}", needle.what, path.display())).collect()
}

/// Searches everything below `folder`, whose daemons have ended.
pub(crate) fn nothing_in_the_clear(folder: &Path, parties: usize) {
    let needles = needles(folder, parties);
    let is_secret = |path: &PathBuf| path.file_name().is_some_and(|name| SECRET_FILES.iter().any(|own| name == *own));
    let (secret, others): (Vec<_>, Vec<_>) = files(folder).into_iter().partition(is_secret);
    assert_eq!(secret.len(), SECRET_FILES.len() * parties);
    // The search finds what is there.
    assert!(secret.iter().all(|path| !found(&needles, path).is_empty()), "secrets are found where they lie");
    let searched: usize = others.iter().map(|path| fs::metadata(path).unwrap().len() as usize).sum();
    assert!(others.len() > 10 * parties && searched > 100_000, "{} files, {searched} bytes", others.len());
    let leaks: Vec<_> = others.iter().flat_map(|path| found(&needles, path)).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    println!("{} secrets in eight forms: none in {} files, {searched} bytes", needles.len(), others.len());
}
