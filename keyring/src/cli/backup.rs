//! `keyringd backup` and `keyringd restore`: a party's memory in one sealed file, and a store made from it.

use super::{ConfigArgs, say};
use crate::admin::{connect, proto::BackupRequest};
use crate::app::BuildError;
use crate::backup::{self, RestoreError, SELECTION};
use crate::config::{Config, ProcessEnvironment};
use crate::files;
use crate::harden;
use crate::identity::NodeIdentity;
use crate::lease::restore_name;
use crate::report::Report;
use crate::store::{self, Archive, Argon2Cost, RocksStore, Store as _};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;
use tempfile::NamedTempFile;

/// Where to.
#[derive(Args, Clone, Debug)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The new file. It opens with what opens the store; keep that elsewhere.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The facts as JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// From what.
#[derive(Args, Clone, Debug)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A backup of this party.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A later incarnation than the next: where the next one was restored before, and lost.
    #[arg(long, value_name = "NUMBER")]
    incarnation: Option<u64>,
    /// The facts as JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// A restore that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{remedy}")]
struct Unfinished {
    remedy: String,
    #[source]
    source: RestoreError,
}

#[derive(Serialize)]
struct BackupFacts {
    file: PathBuf,
    bytes: u64,
    from: &'static str,
}

#[derive(Serialize)]
struct RestoreFacts {
    records: u64,
    incarnation: u64,
    restore: String,
}

pub(super) async fn backup(args: &BackupArgs) -> Result<(), Report> {
    harden::begin()?;
    let config = Config::load(&args.config.config)?;
    if args.file.exists() {
        return Err(format!("{} exists; a backup never takes the place of another", args.file.display()).into());
    }
    let mut file = NamedTempFile::new_in(files::folder_of(&args.file))?;
    let from = match connect(&config.node.admin_socket).await {
        Ok(mut client) => {
            let reply = client.backup(BackupRequest {}).await.map_err(|status| super::ask::refused(&status))?;
            let mut parts = reply.into_inner();
            let bar = spinner()?;
            while let Some(part) = parts.message().await.map_err(|status| super::ask::refused(&status))? {
                file.write_all(&part.data)?;
                bar.inc(part.data.len() as u64);
            }
            bar.finish_and_clear();
            "the running node"
        }
        // No node: the store's own lock says whether that is true.
        Err(_) => {
            let unlock = config.store.unlock(&ProcessEnvironment)?;
            let store = RocksStore::open(&config.node.data_dir, &unlock, Box::new(ChaCha20Rng::from_entropy()))?;
            store.export(&SELECTION, &mut file)?;
            "the store; no node runs"
        }
    };
    let bytes = file.as_file().metadata()?.len();
    check_readable(&config, &file)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(&args.file).map_err(|failed| failed.error)?;
    File::open(files::folder_of(&args.file))?.sync_all()?;
    let facts = BackupFacts { file: args.file.clone(), bytes, from };
    if args.json {
        return say(&(serde_json::to_string_pretty(&facts)? + "\n"));
    }
    say(&format!("{} holds a backup of {from}, {bytes} bytes, read back whole\n", args.file.display()))
}

/// A backup that cannot be read is none: it is read to its end before it gets its name.
fn check_readable(config: &Config, file: &NamedTempFile) -> Result<(), Report> {
    let unlock = config.store.unlock(&ProcessEnvironment)?;
    let mut archive = Archive::open(BufReader::new(file.reopen()?), &unlock)?;
    while archive.next_frame()?.is_some() {}
    Ok(())
}

fn spinner() -> Result<ProgressBar, Report> {
    let style = ProgressStyle::with_template("{spinner} {bytes} written, {bytes_per_sec}")?;
    Ok(ProgressBar::new_spinner().with_style(style))
}

pub(super) fn restore(args: &RestoreArgs) -> Result<(), Report> {
    harden::begin()?;
    let config = Config::load(&args.config.config)?;
    let unlock = config.store.unlock(&ProcessEnvironment)?;
    let identity = NodeIdentity::from_secret(&config.node.identity.bytes(&ProcessEnvironment)?)?;
    let mut archive = Archive::open(BufReader::new(File::open(&args.file)?), &unlock)?;
    let mut rng = ChaCha20Rng::from_entropy();
    // Never 0, which names the first incarnation.
    let restore = rng.next_u64() | 1 << 63;
    let (folder, own) = (&config.node.data_dir, Box::new(ChaCha20Rng::from_entropy()));
    let store = RocksStore::create(folder, &unlock, Argon2Cost::default(), own)?;
    let remove = || format!("nothing was restored; remove what lies in {} and begin again", folder.display());
    let restored = backup::restore(&mut archive, &store, args.incarnation, restore)
        .map_err(|source| Box::new(Unfinished { remedy: remove(), source }))?;
    let owner = store::owner_or_claim(&store, &identity.public())?;
    if owner != identity.public() {
        let (path, owner) = (folder.clone(), hex::encode(owner));
        return Err(BuildError::Owner { path, owner, identity: hex::encode(identity.public()) }.into());
    }
    let name = restore_name(restored.restore);
    if args.json {
        let facts = RestoreFacts { records: restored.records, incarnation: restored.incarnation, restore: name };
        return say(&(serde_json::to_string_pretty(&facts)? + "\n"));
    }
    say(&format!(
        "restored {} records as incarnation {}\n\nNow:\n  be sure that no other process and no other disk of this party will ever run again\n  \
         start it: keyringd run --config {}\n  tell every other operator, by voice, the name of this restore: {name}\n  \
         each of more than half of them says: keyringd peers consent {} {name}\n",
        restored.records,
        restored.incarnation,
        args.config.config.display(),
        config.node.name,
    ))
}
