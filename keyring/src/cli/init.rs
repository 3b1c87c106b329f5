//! `keyringd init`: makes what must never be made in passing: configuration, identity, account key, store key, store.
//!
//! Nothing that exists is overwritten, so it may be called again after anything: it goes on where it stopped, and says
//! what is there. It owes one more thing: once a store stands, no secret is made any more, since a new one would make
//! another party of this one, quietly.

use super::{ConfigArgs, say, table};
use crate::config::{
    Config, ConfigError, EndpointUrl, Environment, NewParty, ProcessEnvironment, RawUnlock, SecretError, SecretRef,
    annotated,
};
use crate::files;
use crate::harden;
use crate::identity::NodeIdentity;
use crate::report::Report;
use crate::store::{self, Argon2Cost, OpenError, RocksStore};
use chain_client::PartyAccount;
use clap::Args;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use serde::Serialize;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Whom to make, and where.
#[derive(Args, Clone, Debug)]
pub(super) struct InitArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A folder for everything: short for `--config DIR/keyringd.toml`.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// This party's name in the roster: lower-case letters, digits and dashes.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The chain's own name.
    #[arg(long, value_name = "ID")]
    chain_id: Option<String>,
    /// The keyring's address on the chain.
    #[arg(long, value_name = "ADDRESS")]
    keyring: Option<String>,
    /// gRPC address of a chain node; several in the order of preference. Run your own.
    #[arg(long, value_name = "URL")]
    endpoint: Vec<String>,
    /// Where to listen for peers: /ip4/A/tcp/PORT or /ip4/A/udp/PORT/quic-v1; several if wanted.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Write the configuration only: for who keeps secrets elsewhere, edits it first and calls again.
    #[arg(long)]
    config_only: bool,
    /// The facts as JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What there is to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Piece {
    what: String,
    place: String,
    state: State,
    /// What others may know of it: a public key, an address.
    #[serde(skip_serializing_if = "String::is_empty")]
    public: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Made,
    There,
    Missing,
}

/// Everything that was made or found, in order, and what stood in the way.
#[derive(Default)]
struct Made {
    pieces: Vec<Piece>,
    refused: Option<Report>,
}

#[derive(Serialize)]
struct Facts<'a> {
    pieces: &'a [Piece],
    next: Vec<String>,
}

/// A configuration that is to be written needs more, or the one that stands says otherwise.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("there is no configuration {}; to write one, give {missing}", path.display())]
    Untold { path: PathBuf, missing: &'static str },
}

pub(super) fn init(args: &InitArgs) -> Result<(), Report> {
    harden::begin()?;
    let path = args.dir.as_ref().map_or_else(|| args.config.config.clone(), |dir| dir.join("keyringd.toml"));
    let mut made = Made::default();
    let config = args.configuration(&path, &mut made)?;
    if !args.config_only {
        let mut rng = ChaCha20Rng::from_entropy();
        made.secrets_and_store(&config, &ProcessEnvironment, &mut rng)?;
    }
    let next = next(&path, &config, args.config_only, &made);
    if args.json {
        say(&(serde_json::to_string_pretty(&Facts { pieces: &made.pieces, next })? + "\n"))?;
    } else {
        say(&told(&made.pieces, &next))?;
    }
    made.refused.map_or(Ok(()), Err)
}

impl InitArgs {
    /// The configuration that stands, or a new one.
    fn configuration(&self, path: &Path, made: &mut Made) -> Result<Config, Report> {
        let state = if path.exists() {
            State::There
        } else {
            let text = annotated(&self.party(path)?)?;
            files::make_private_folder(files::folder_of(path))?;
            files::write_new(path, text.as_bytes(), files::PRIVATE)?;
            State::Made
        };
        let config = Config::load(path)?;
        self.agrees_with(&config)?;
        made.add("configuration", path.display(), state, String::new());
        Ok(config)
    }

    fn party(&self, path: &Path) -> Result<NewParty, InitError> {
        let untold = |missing| InitError::Untold { path: path.to_owned(), missing };
        let list = |given: &[String], missing| if given.is_empty() { Err(untold(missing)) } else { Ok(given.to_vec()) };
        Ok(NewParty {
            name: self.name.clone().ok_or_else(|| untold("--name"))?,
            chain: self.chain_id.clone().ok_or_else(|| untold("--chain-id"))?,
            keyring: self.keyring.clone().ok_or_else(|| untold("--keyring"))?,
            endpoints: list(&self.endpoint, "--endpoint")?,
            listen: list(&self.listen, "--listen")?,
        })
    }

    /// What is given beside a configuration that stands must be what it says.
    fn agrees_with(&self, config: &Config) -> Result<(), ConfigError> {
        let says = |field: &str, given: &Option<String>, stands: &str| match given {
            Some(given) if given != stands => Err(ConfigError::Field {
                field: field.to_owned(),
                what: format!("is {stands:?} already, not {given:?}; edit the file, or name another folder"),
            }),
            _ => Ok(()),
        };
        says("node.name", &self.name, &config.node.name)?;
        let listen: Vec<_> = config.node.listen.iter().map(ToString::to_string).collect();
        says("node.listen", &joined(&self.listen), &listen.join(", "))?;
        let Some(chain) = config.chains.first() else { return Ok(()) };
        says("chain.id", &self.chain_id, chain.id.as_str())?;
        says("chain.keyring", &self.keyring, &chain.keyring)?;
        let endpoints: Vec<_> = chain.endpoints.iter().map(EndpointUrl::to_string).collect();
        let given: Vec<_> = self.endpoint.iter().map(|url| EndpointUrl::redacted(url)).collect();
        says("chain.endpoints", &joined(&given), &endpoints.join(", "))
    }
}

fn joined(given: &[String]) -> Option<String> {
    (!given.is_empty()).then(|| given.join(", "))
}

impl Made {
    fn add(&mut self, what: &str, place: impl ToString, state: State, public: String) {
        self.pieces.push(Piece { what: what.to_owned(), place: place.to_string(), state, public });
    }

    /// Identity, accounts, store key, store: whatever is not there yet.
    fn secrets_and_store(
        &mut self,
        config: &Config,
        environment: &dyn Environment,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), Report> {
        let folder = &config.node.data_dir;
        let stands = RocksStore::stands_in(folder);
        let found = self.secret("identity", &config.node.identity, stands, environment, rng)?;
        let identity = found.as_ref().map(NodeIdentity::from_seed);
        if let Some(identity) = &identity {
            self.is_public(format!("node key {}", hex::encode(identity.public())));
        }
        for chain in &config.chains {
            let what = format!("account on {}", chain.id);
            if let Some(key) = self.secret(&what, &chain.account, stands, environment, rng)? {
                self.is_public(PartyAccount::from_bytes(&key)?.address().to_owned());
            }
        }
        if let RawUnlock::Keyfile(reference) = &config.store.unlock {
            self.secret("store key", reference, stands, environment, rng)?;
        }
        let unlock = match config.store.unlock(environment) {
            Ok(unlock) => unlock,
            Err(missing) => {
                self.add("store", folder.display(), if stands { State::There } else { State::Missing }, String::new());
                self.refuse(missing);
                return Ok(());
            }
        };
        let own = ChaCha20Rng::from_seed(*seed(rng));
        let state = match RocksStore::create(folder, &unlock, Argon2Cost::default(), Box::new(own)) {
            Ok(store) => {
                // From its first day a store knows whose it is, so that an exchanged identity is noticed.
                if let Some(identity) = &identity {
                    store::owner_or_claim(&store, &identity.public())?;
                }
                State::Made
            }
            Err(OpenError::Exists { .. } | OpenError::InUse { .. }) => State::There,
            Err(error) => return Err(error.into()),
        };
        self.add("store", folder.display(), state, String::new());
        Ok(())
    }

    /// One secret of 32 bytes: as it lies, or new if it belongs in a file that is not there. `None` when it cannot be had.
    fn secret(
        &mut self,
        what: &str,
        reference: &SecretRef,
        store_stands: bool,
        environment: &dyn Environment,
        rng: &mut ChaCha20Rng,
    ) -> Result<Option<Zeroizing<[u8; 32]>>, Report> {
        let mut state = State::There;
        let found = match reference {
            SecretRef::File(path) if !path.exists() && store_stands => Err(SecretError::Lost { path: path.clone() }),
            SecretRef::File(path) if !path.exists() => {
                files::make_private_folder(files::folder_of(path))?;
                let text = Zeroizing::new(hex::encode(seed(rng).as_slice()) + "\n");
                files::write_new(path, text.as_bytes(), files::PRIVATE)?;
                state = State::Made;
                // Read back: what is told is what lies there.
                reference.key(environment)
            }
            reference => reference.key(environment),
        };
        let place = reference.to_string();
        match found {
            Ok(key) => {
                self.add(what, place, state, String::new());
                Ok(Some(key))
            }
            Err(missing) => {
                self.add(what, place, State::Missing, String::new());
                self.refuse(missing);
                Ok(None)
            }
        }
    }

    fn is_public(&mut self, public: String) {
        if let Some(piece) = self.pieces.last_mut() {
            piece.public = public;
        }
    }

    /// The first reason is the one that is told.
    fn refuse(&mut self, why: SecretError) {
        self.refused.get_or_insert(why.into());
    }

    fn account(&self) -> Option<&str> {
        let account = |piece: &&Piece| piece.what.starts_with("account") && !piece.public.is_empty();
        self.pieces.iter().find(account).map(|piece| piece.public.as_str())
    }
}

fn seed(rng: &mut ChaCha20Rng) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut_slice());
    seed
}

/// What a person does now.
fn next(path: &Path, config: &Config, config_only: bool, made: &Made) -> Vec<String> {
    let config_is = format!("--config {}", path.display());
    if config_only {
        return vec![
            format!("look through {}; secrets may lie elsewhere, see docs/configuration.md", path.display()),
            format!("make the rest: keyringd init {config_is}"),
        ];
    }
    if made.refused.is_some() {
        return vec![format!("mend what is missing, then again: keyringd init {config_is}")];
    }
    let (account, keyring) =
        (made.account().unwrap_or("the account"), config.chains.first().map_or("", |chain| chain.keyring.as_str()));
    vec![
        "keep copies of the key files somewhere safe and offline: the store is of no use without them".to_owned(),
        format!("have {account} funded, and listed as a party of {keyring} by its administrator"),
        format!("send your entry to the other operators: keyringd ceremony entry {config_is}"),
    ]
}

fn told(pieces: &[Piece], next: &[String]) -> String {
    let mut drawn = table::table(["state", "what", "where", "known to others as"]);
    for Piece { what, place, state, public } in pieces {
        let state = match state {
            State::Made => "made",
            State::There => "there",
            State::Missing => "MISSING",
        };
        drawn.add_row([state, what, place, public]);
    }
    let steps = next.iter().map(|step| format!("  - {step}\n")).collect::<String>();
    format!("{}\nnext:\n{steps}", table::drawn(&drawn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn args(folder: &Path) -> InitArgs {
        InitArgs {
            config: ConfigArgs { config: PathBuf::from("/nowhere/keyringd.toml") },
            dir: Some(folder.to_owned()),
            name: Some("alpha".to_owned()),
            chain_id: Some("zenrock".to_owned()),
            keyring: Some("keyring1k6vc6vhp6e6l3rxalue9v4ux".to_owned()),
            endpoint: vec!["http://127.0.0.1:9090".to_owned()],
            listen: vec!["/ip4/127.0.0.1/tcp/7700".to_owned()],
            config_only: false,
            json: false,
        }
    }

    fn made(args: &InitArgs) -> Result<Made, Report> {
        let mut made = Made::default();
        let path = args.dir.as_ref().unwrap().join("keyringd.toml");
        let config = args.configuration(&path, &mut made)?;
        made.secrets_and_store(&config, &ProcessEnvironment, &mut ChaCha20Rng::from_entropy())?;
        Ok(made)
    }

    fn states(made: &Made) -> Vec<State> {
        made.pieces.iter().map(|piece| piece.state).collect()
    }

    #[test]
    fn a_new_party_is_whole_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("alpha");
        let first = made(&args(&home)).unwrap();
        assert_eq!(states(&first), [State::Made; 5]);
        assert!(first.account().unwrap().starts_with("zen1"));
        assert_eq!(std::fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
        for name in ["keyringd.toml", "identity.key", "account.key", "store.key"] {
            let mode = std::fs::metadata(home.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let again = made(&args(&home)).unwrap();
        assert_eq!(states(&again), [State::There; 5]);
        let public = |made: &Made| made.pieces.iter().map(|piece| piece.public.clone()).collect::<Vec<_>>();
        assert_eq!(public(&again), public(&first));
    }

    #[test]
    fn a_party_that_was_begun_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let first = made(&args(folder.path())).unwrap();
        std::fs::remove_dir_all(folder.path().join("data")).unwrap();
        std::fs::remove_file(folder.path().join("store.key")).unwrap();
        let again = made(&args(folder.path())).unwrap();
        assert_eq!(states(&again), [State::There, State::There, State::There, State::Made, State::Made]);
        assert_eq!(again.account(), first.account());
    }

    #[test]
    fn once_a_store_stands_no_secret_is_made_in_the_place_of_a_lost_one() {
        for name in ["identity.key", "account.key", "store.key"] {
            let folder = tempfile::tempdir().unwrap();
            assert!(made(&args(folder.path())).unwrap().refused.is_none());
            std::fs::remove_file(folder.path().join(name)).unwrap();
            let again = made(&args(folder.path())).unwrap();
            assert!(again.refused.unwrap().to_string().contains(name), "{name}");
            assert!(!folder.path().join(name).exists(), "{name}");
            assert!(!again.pieces.iter().any(|piece| piece.state == State::Made));
        }
    }

    #[test]
    fn a_configuration_that_says_otherwise_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(made(&args(folder.path())).is_ok());
        let before = std::fs::read(folder.path().join("keyringd.toml")).unwrap();
        let changes: [fn(&mut InitArgs); 5] = [
            |args| args.name = Some("beta".to_owned()),
            |args| args.chain_id = Some("other-1".to_owned()),
            |args| args.keyring = Some("keyring1other".to_owned()),
            |args| args.endpoint = vec!["http://10.0.0.1:9090".to_owned()],
            |args| args.listen = vec!["/ip4/127.0.0.1/tcp/7777".to_owned()],
        ];
        for change in changes {
            let mut other = args(folder.path());
            change(&mut other);
            let refused = made(&other).err().unwrap();
            assert!(refused.to_string().contains("already"), "{refused}");
        }
        assert_eq!(std::fs::read(folder.path().join("keyringd.toml")).unwrap(), before);
    }

    #[test]
    fn what_a_new_configuration_needs_is_asked_for_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut args = args(folder.path());
        args.keyring = None;
        let refused = made(&args).err().unwrap();
        assert!(refused.to_string().contains("--keyring"), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_secret_kept_elsewhere_is_asked_for_and_the_rest_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path());
        let path = folder.path().join("keyringd.toml");
        args.configuration(&path, &mut Made::default()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let elsewhere = text.replace("{ file = \"identity.key\" }", "{ env = \"KEYRINGD_TEST_IDENTITY_UNSET\" }");
        assert_ne!(text, elsewhere);
        std::fs::write(&path, elsewhere).unwrap();
        let made = made(&args).unwrap();
        assert!(made.refused.as_ref().unwrap().to_string().contains("KEYRINGD_TEST_IDENTITY_UNSET"));
        assert_eq!(states(&made), [State::There, State::Missing, State::Made, State::Made, State::Made]);
    }
}
