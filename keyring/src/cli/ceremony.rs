//! `keyringd ceremony`: the operators come to one roster, then the parties make what they need before the first request.
//!
//! ```text
//! entry   each: writes its card             -> sent to all
//! roster  each: the draft of all cards         the fingerprint is compared by voice
//! sign    each: types what it heard, signs  -> the consent is sent to all
//! join    each: puts all consents together     the roster stands
//! (none)  all at once: links, safe primes, auxiliary data, first shelf
//! ```
//!
//! Each step may be done again, after anything: it finds what is there. What crosses the wire between operators is not
//! secret.

mod finish;
mod show;

use super::{ConfigArgs, say, table};
use crate::app::evm_pen::EvmPen;
use crate::ceremony::{Card, CeremonyError, Consent, assemble, consent};
use crate::config::{Config, ProcessEnvironment};
use crate::contract;
use crate::files;
use crate::harden;
use crate::identity::NodeIdentity;
use crate::report::Report;
use crate::roster::{RosterEntry, RosterFile, fingerprint};
use crate::sender::Pen as _;
use chain_client::{AccountError, PartyAccount};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Without a step: make auxiliary data and the first shelf with all other parties, and end when this party is ready.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct CeremonyArgs {
    #[command(subcommand)]
    step: Option<Step>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Clone, Debug)]
struct CommonArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The facts as JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum Step {
    /// Write this party's card: its signed entry, for the other operators.
    Entry(EntryArgs),
    /// Make the draft of all cards, and show the fingerprint to compare by voice.
    Roster(RosterArgs),
    /// Sign the draft whose fingerprint another operator has read out.
    Sign(SignArgs),
    /// Put the consents of all under the draft; the last one makes it the roster.
    Join(JoinArgs),
}

#[derive(Args, Clone, Debug)]
struct EntryArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where the others reach this node, if that is not where it listens: /ip4/A/tcp/PORT; several if wanted.
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct RosterArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// How many parties sign.
    #[arg(long, value_name = "NUMBER")]
    need: u16,
    /// Number of the roster.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    epoch: u64,
    /// Cards of the other parties; this party's own is found by itself.
    #[arg(value_name = "CARD", required = true)]
    cards: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct SignArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The fingerprint as it was heard from another operator: eight groups of five digits.
    #[arg(value_name = "FINGERPRINT", required = true)]
    heard: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct JoinArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Consents of the other parties.
    #[arg(value_name = "CONSENT", required = true)]
    consents: Vec<PathBuf>,
}

/// What a step has led to.
#[derive(Serialize)]
struct Outcome {
    /// The file that was written.
    file: PathBuf,
    /// Of the draft, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Who has not consented here yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<String>>,
    next: String,
}

/// A step out of order, or a file that stands in the way.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("{} is there already, and differs; to begin again, remove it", path.display())]
    Differs { path: PathBuf },
    #[error("the roster {} stands already; a change of the roster is not part of this version", path.display())]
    Stands { path: PathBuf },
    #[error("there is no roster yet; next: {next}")]
    NoRoster { next: String },
    #[error("{address} is no address that others can reach: say which one is, with --address")]
    Unreachable { address: String },
    #[error("the draft says otherwise of this party than its configuration: {what}; begin again with entry")]
    Changed { what: &'static str },
    #[error("{} is refused", path.display())]
    Refused { path: PathBuf, source: Box<CeremonyError> },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

pub(super) async fn ceremony(args: CeremonyArgs) -> Result<(), Report> {
    harden::begin()?;
    match &args.step {
        Some(Step::Entry(step)) => step.entry(),
        Some(Step::Roster(step)) => step.roster(),
        Some(Step::Sign(step)) => step.sign(),
        Some(Step::Join(step)) => step.join(),
        None => finish::finish(&args.common.config.config, args.common.json).await,
    }
}

// === steps ===

impl EntryArgs {
    fn entry(&self) -> Result<(), Report> {
        let desk = Desk::open(&self.common)?;
        let listen: Vec<_> = desk.config.node.listen.iter().map(ToString::to_string).collect();
        let addresses = if self.address.is_empty() { listen } else { self.address.clone() };
        if let Some(address) = addresses.iter().find(|address| !can_be_reached(address)) {
            return Err(StepError::Unreachable { address: address.clone() }.into());
        }
        let entry = RosterEntry { addresses, ..desk.own()? };
        let card = Card::sign(entry.clone(), &desk.identity).to_toml()?;
        // Read as the others will read it: what they would refuse is not sent.
        Card::open(&card)?;
        let file = desk.own_file("entry");
        files::replace(&file, card.as_bytes(), files::PUBLIC).map_err(failed(&file))?;
        let next = format!(
            "send this file to the other operators; when theirs have come: keyringd ceremony roster {} --need NUMBER CARD...",
            desk.flag()
        );
        let outcome = Outcome { file, fingerprint: None, missing: None, next };
        desk.tell(&outcome, &drawn(&[entry]))
    }
}

impl RosterArgs {
    fn roster(&self) -> Result<(), Report> {
        let desk = Desk::open(&self.common)?;
        if desk.config.node.roster.exists() {
            return Err(StepError::Stands { path: desk.config.node.roster.clone() }.into());
        }
        let own = Card::open(&read(&desk.own_file("entry"))?)?;
        desk.is_ours(&own)?;
        let mut entries = vec![own.clone()];
        for path in &self.cards {
            entries.push(
                Card::open(&read(path)?)
                    .map_err(|error| StepError::Refused { path: path.clone(), source: Box::new(error) })?,
            );
        }
        let contracts: Vec<_> = desk.config.contracts.iter().map(|contract| contract.proxy).collect();
        let draft = assemble(self.epoch, self.need, entries, &own, &contracts)?;
        let file = desk.draft_file();
        if file.exists() {
            if RosterFile::load(&file)?.digest()? != draft.digest()? {
                return Err(StepError::Differs { path: file }.into());
            }
        } else {
            files::write_new(&file, draft.to_toml()?.as_bytes(), files::PUBLIC).map_err(failed(&file))?;
        }
        let fingerprint = fingerprint(&draft.digest()?);
        let text = format!(
            "{}\n{} of {} sign, epoch {}\nfingerprint  {fingerprint}\n",
            drawn(&draft.entries()?),
            draft.need,
            draft.of,
            draft.epoch
        );
        let next = format!(
            "call the other operators, on a line where you know their voices, and compare; then type what you HEARD: keyringd ceremony sign {} FINGERPRINT",
            desk.flag()
        );
        desk.tell(&Outcome { file, fingerprint: Some(fingerprint), missing: None, next }, &text)
    }
}

impl SignArgs {
    fn sign(&self) -> Result<(), Report> {
        let desk = Desk::open(&self.common)?;
        let mut draft = desk.draft()?;
        let own = draft.entries()?.into_iter().find(|entry| entry.node_key == desk.identity.public());
        desk.is_ours(&own.ok_or(StepError::Changed { what: "it has another node key" })?)?;
        let consent = consent(&mut draft, &self.heard.join(" "), &desk.identity)?;
        desk.keep(&draft)?;
        let file = desk.own_file("consent");
        files::replace(&file, consent.to_toml()?.as_bytes(), files::PUBLIC).map_err(failed(&file))?;
        let next = format!(
            "send this file to the other operators; when theirs have come: keyringd ceremony join {} CONSENT...",
            desk.flag()
        );
        let print = fingerprint(&draft.digest()?);
        let text = format!("{} has signed the roster {print}\n", consent.party());
        desk.tell(&Outcome { file, fingerprint: Some(print), missing: Some(draft.unsigned()?), next }, &text)
    }
}

impl JoinArgs {
    fn join(&self) -> Result<(), Report> {
        let desk = Desk::open(&self.common)?;
        let mut draft = desk.draft()?;
        for path in &self.consents {
            let consent = Consent::parse(&read(path)?)
                .map_err(|error| StepError::Refused { path: path.clone(), source: Box::new(error) })?;
            consent.join(&mut draft)?;
        }
        desk.keep(&draft)?;
        let missing = draft.unsigned()?;
        let print = fingerprint(&draft.digest()?);
        let (file, text, next) = if missing.is_empty() {
            let file = desk.config.node.roster.clone();
            let roster = draft.verify()?;
            match files::write_new(&file, draft.to_toml()?.as_bytes(), files::PUBLIC) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    if RosterFile::load(&file)?.verify()?.digest() != roster.digest() {
                        return Err(StepError::Stands { path: file }.into());
                    }
                }
                written => written.map_err(failed(&file))?,
            }
            let next = format!("when all are as far: keyringd ceremony {}", desk.flag());
            (file, format!("all {} have signed: the roster {print} stands\n", roster.parties().len()), next)
        } else if missing.contains(&desk.config.node.name) {
            let next = format!("sign it: keyringd ceremony sign {} FINGERPRINT", desk.flag());
            (desk.draft_file(), format!("still missing: {}\n", missing.join(", ")), next)
        } else {
            let next = "ask the missing operators for their consents, and join these too".to_owned();
            (desk.draft_file(), format!("still missing: {}\n", missing.join(", ")), next)
        };
        desk.tell(&Outcome { file, fingerprint: Some(print), missing: Some(missing), next }, &text)
    }
}

// === what all steps share ===

/// This party at its desk.
struct Desk {
    path: PathBuf,
    json: bool,
    config: Config,
    identity: NodeIdentity,
}

impl Desk {
    fn open(common: &CommonArgs) -> Result<Self, Report> {
        let path = common.config.config.clone();
        let config = Config::load(&path)?;
        let identity = NodeIdentity::from_seed(&config.node.identity.key(&ProcessEnvironment)?);
        Ok(Self { path, json: common.json, config, identity })
    }

    /// This party's entry as its configuration has it, without addresses.
    fn own(&self) -> Result<RosterEntry, Report> {
        let mut accounts = std::collections::BTreeMap::new();
        for chain in &self.config.chains {
            let account = PartyAccount::from_bytes(&chain.account.key(&ProcessEnvironment)?)?;
            accounts.insert(chain.id.to_string(), account.address().to_owned());
        }
        for contract in &self.config.contracts {
            let pen = EvmPen::from_bytes(&contract.account.key(&ProcessEnvironment)?).ok_or(AccountError::Invalid)?;
            accounts.insert(contract::chain_of(contract.proxy.chain), pen.account().to_string());
        }
        let (name, node_key) = (self.config.node.name.clone(), self.identity.public());
        Ok(RosterEntry { name, node_key, addresses: Vec::new(), accounts })
    }

    /// What was written earlier must still be what the configuration says.
    fn is_ours(&self, entry: &RosterEntry) -> Result<(), Report> {
        let own = self.own()?;
        let what = match () {
            () if entry.name != own.name => "another name",
            () if entry.node_key != own.node_key => "another node key",
            () if entry.accounts != own.accounts => "other accounts",
            () => return Ok(()),
        };
        Err(StepError::Changed { what }.into())
    }

    fn own_file(&self, kind: &str) -> PathBuf {
        files::folder_of(&self.path).join(format!("{}.{kind}.toml", self.config.node.name))
    }

    fn draft_file(&self) -> PathBuf {
        draft_file(&self.config)
    }

    fn draft(&self) -> Result<RosterFile, Report> {
        let path = self.draft_file();
        if path.exists() {
            return Ok(RosterFile::load(&path)?);
        }
        let next = format!("keyringd ceremony roster {} --need NUMBER CARD...", self.flag());
        Err(StepError::NoRoster { next }.into())
    }

    fn keep(&self, draft: &RosterFile) -> Result<(), Report> {
        let path = self.draft_file();
        Ok(files::replace(&path, draft.to_toml()?.as_bytes(), files::PUBLIC).map_err(failed(&path))?)
    }

    fn flag(&self) -> String {
        flag(&self.path)
    }

    fn tell(&self, outcome: &Outcome, text: &str) -> Result<(), Report> {
        if self.json {
            return say(&(serde_json::to_string_pretty(outcome)? + "\n"));
        }
        say(&format!("{text}written      {}\n\nnext: {}\n", outcome.file.display(), outcome.next))
    }
}

fn flag(path: &Path) -> String {
    format!("--config {}", path.display())
}

fn draft_file(config: &Config) -> PathBuf {
    config.node.roster.with_extension("draft.toml")
}

/// Which step comes next, for who calls the last one too early.
fn next_step(config: &Config, path: &Path) -> String {
    let flag = flag(path);
    let name = &config.node.name;
    let Ok(draft) = RosterFile::load(&draft_file(config)) else {
        let card = files::folder_of(path).join(format!("{name}.entry.toml"));
        return if card.exists() {
            format!("keyringd ceremony roster {flag} --need NUMBER CARD...")
        } else {
            format!("keyringd ceremony entry {flag}")
        };
    };
    match draft.unsigned() {
        Ok(missing) if missing.contains(name) => format!("keyringd ceremony sign {flag} FINGERPRINT"),
        _ => format!("keyringd ceremony join {flag} CONSENT..."),
    }
}

fn read(path: &Path) -> Result<String, StepError> {
    use std::io::Read as _;
    const BYTES_MAX: u64 = 64 * 1024;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map_err(failed(path))?;
    Ok(text)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StepError {
    let path = path.to_owned();
    move |source| StepError::File { path, source }
}

/// Whether an address names one place: not all interfaces of a machine, not any port.
fn can_be_reached(address: &str) -> bool {
    let parts: Vec<_> = address.split('/').collect();
    let host = parts.get(2).and_then(|host| host.parse::<std::net::IpAddr>().ok());
    host.is_some_and(|host| !host.is_unspecified()) && parts.get(4).is_some_and(|port| *port != "0")
}

fn drawn(entries: &[RosterEntry]) -> String {
    let mut drawn = table::table(["party", "node key", "addresses", "accounts"]);
    for RosterEntry { name, node_key, addresses, accounts } in entries {
        let accounts: Vec<_> = accounts.iter().map(|(chain, account)| format!("{account} on {chain}")).collect();
        drawn.add_row([name.clone(), hex::encode(node_key), addresses.join(" "), accounts.join(" ")]);
    }
    table::drawn(&drawn)
}

#[cfg(test)]
mod tests;
