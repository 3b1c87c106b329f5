//! `zrchain-wallet`: ordinary transactions of an administrator and a user, sent to any zrChain over gRPC.
//!
//! Everything here is what the chain's own command line tool does on a live chain. It is no part of a keyring: it knows
//! the chain only, and its account's key from a file.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chain_client::{
    ChainId, Endpoint, EndpointError, KeyType, PartyAccount, ReadError, Request, RequestId, Settings, Status, ZrChain,
};
use clap::{Parser, Subcommand, ValueEnum};
use devnet::demo::{Admin, Board, Customer, DemoError, NewKeyring, Style, User};
use url::Url;

/// How often a request that is waited for is looked at, and how many times.
const PAUSE: Duration = Duration::from_millis(500);
const LOOKS_MAX: u32 = 240;

/// An administrator's and a user's ordinary transactions on a zrChain.
#[derive(Debug, Parser)]
#[command(name = "zrchain-wallet", version)]
struct CommandLine {
    /// gRPC address of a node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", global = true)]
    grpc: Url,
    /// The chain's own name.
    #[arg(long, value_name = "ID", default_value = "zenrock", global = true)]
    chain_id: String,
    /// File with the account's key: 64 hexadecimal digits. Needed by whatever is signed.
    #[arg(long, value_name = "FILE", global = true)]
    account: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the account's address.
    Address,
    /// Make a keyring without parties; show its address.
    NewKeyring {
        /// Equal answers that fulfil a request.
        #[arg(long, value_name = "NUMBER")]
        threshold: u32,
        /// urock for a key.
        #[arg(long, value_name = "UROCK", default_value_t = 0)]
        key_fee: u64,
        /// urock for a signature.
        #[arg(long, value_name = "UROCK", default_value_t = 0)]
        signature_fee: u64,
        /// Any text.
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// List accounts as parties of a keyring.
    AddParty {
        /// The keyring.
        #[arg(long, value_name = "ADDRESS")]
        keyring: String,
        /// Accounts.
        #[arg(value_name = "ACCOUNT", required = true)]
        parties: Vec<String>,
    },
    /// Send each account this much.
    Fund {
        /// How much.
        #[arg(long, value_name = "UROCK")]
        urock: u128,
        /// Accounts.
        #[arg(value_name = "ACCOUNT", required = true)]
        accounts: Vec<String>,
    },
    /// Show what accounts hold.
    Balance {
        /// Accounts.
        #[arg(value_name = "ACCOUNT", required = true)]
        accounts: Vec<String>,
    },
    /// Show a keyring.
    Keyring {
        /// The keyring.
        #[arg(value_name = "ADDRESS")]
        keyring: String,
    },
    /// Make a workspace; show its address.
    NewWorkspace,
    /// Ask for a key.
    NewKey {
        /// The keyring.
        #[arg(long, value_name = "ADDRESS")]
        keyring: String,
        /// A workspace of this account.
        #[arg(long, value_name = "ADDRESS")]
        workspace: String,
        /// What kind.
        #[arg(long = "type")]
        kind: Kind,
    },
    /// Ask for signatures of bytes: digests of 32 bytes, or messages for an Ed25519 key.
    Sign {
        /// The key's number.
        #[arg(long, value_name = "NUMBER")]
        key: u64,
        /// Each in hexadecimal; several make one request.
        #[arg(value_name = "HEX", required = true)]
        payloads: Vec<String>,
    },
    /// Show requests: `key-1`, `signature-7`.
    Request {
        /// Until they are closed, two minutes at most each.
        #[arg(long)]
        wait: bool,
        /// Their names.
        #[arg(value_name = "REQUEST", required = true)]
        requests: Vec<String>,
    },
    /// Be a user: ask for a key of each type and for signatures of every kind and wallet, verify every answer with
    /// libraries that had no part in making it. The exit code says whether all is well.
    TryKeyring {
        /// The keyring.
        #[arg(value_name = "ADDRESS")]
        keyring: String,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Ecdsa,
    Ed25519,
    Bitcoin,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum WalletError {
    #[error("this is signed: name the account's key file with --account")]
    NoAccount,
    #[error(transparent)]
    Account(#[from] chain_client::AccountError),
    #[error("{0:?} is no chain id")]
    ChainId(String),
    #[error("{0:?} is not hexadecimal")]
    Hex(String),
    #[error("{0:?} is no request: write key-1 or signature-7")]
    Request(String),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("the chain cannot be read")]
    Read(#[from] ReadError),
    #[error("the chain has no {0}")]
    Absent(String),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("the output cannot be written")]
    Output(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WalletError::from)
        .and_then(|runtime| runtime.block_on(line.perform()));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let told: Vec<_> = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect();
            // Where even standard error is gone, the exit code still tells.
            let _gone = writeln!(std::io::stderr(), "zrchain-wallet: {}", told.join(": "));
            ExitCode::FAILURE
        }
    }
}

impl CommandLine {
    /// Whether all is well.
    async fn perform(&self) -> Result<bool, WalletError> {
        match &self.command {
            Command::Address => say(self.account()?.address())?,
            Command::NewKeyring { threshold, key_fee, signature_fee, description } => {
                let new = NewKeyring {
                    description: description.clone(),
                    party_threshold: *threshold,
                    key_fee_urock: *key_fee,
                    signature_fee_urock: *signature_fee,
                };
                say(&self.admin().await?.new_keyring(&new).await?)?;
            }
            Command::AddParty { keyring, parties } => {
                self.admin().await?.add_parties(keyring, parties).await?;
                self.show_keyring(keyring).await?;
            }
            Command::Fund { urock, accounts } => {
                self.admin().await?.fund(accounts, *urock).await?;
                self.balances(accounts).await?;
            }
            Command::Balance { accounts } => self.balances(accounts).await?,
            Command::Keyring { keyring } => self.show_keyring(keyring).await?,
            Command::NewWorkspace => say(&self.customer("").await?.new_workspace().await?)?,
            Command::NewKey { keyring, workspace, kind } => {
                let asked = self.customer(keyring).await?.ask_key(workspace, kind.key_type()).await?;
                say(&asked.to_string())?;
            }
            Command::Sign { key, payloads } => {
                let bytes = |text: &String| hex::decode(text).map_err(|_| WalletError::Hex(text.clone()));
                let payloads = payloads.iter().map(bytes).collect::<Result<_, _>>()?;
                say(&self.customer("").await?.ask_signatures(*key, payloads).await?.to_string())?;
            }
            Command::Request { wait, requests } => {
                for name in requests {
                    say(&told(&self.request(name, *wait).await?))?;
                }
            }
            Command::TryKeyring { keyring, json } => return self.try_keyring(keyring, *json).await,
        }
        Ok(true)
    }

    async fn try_keyring(&self, keyring: &str, json: bool) -> Result<bool, WalletError> {
        let style = match (json, std::io::stdout().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Live,
            (false, false) => Style::Lines,
        };
        let board = Board::new(std::io::stdout(), style);
        let mut user = User::connect(self.grpc(), &self.chain_id, keyring, self.account()?).await?;
        board.note(&format!("workspace {}", user.workspace()))?;
        user.make_requests(&board).await?;
        Ok(board.summary()?.is_success())
    }

    async fn request(&self, name: &str, wait: bool) -> Result<Request, WalletError> {
        let (id, chain) = (request_id(name)?, self.chain("")?);
        let look = async || {
            let found = chain.request(id, None).await?.value;
            found.ok_or_else(|| WalletError::Absent(format!("request {name}")))
        };
        let mut looks = if wait { LOOKS_MAX } else { 1 };
        loop {
            let request = look().await?;
            looks -= 1;
            if looks == 0 || !request.status.is_open() {
                return Ok(request);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn balances(&self, accounts: &[String]) -> Result<(), WalletError> {
        let chain = self.chain("")?;
        for account in accounts {
            say(&format!("{account}  {} urock", chain.balance(account).await?.value))?;
        }
        Ok(())
    }

    async fn show_keyring(&self, keyring: &str) -> Result<(), WalletError> {
        let found = self.chain(keyring)?.keyring().await?.value;
        let found = found.ok_or_else(|| WalletError::Absent(format!("keyring {keyring}")))?;
        let active = if found.active { "active" } else { "switched off" };
        say(&format!("{}  {active}, threshold {}", found.address, found.party_threshold))?;
        say(&format!("fees  {} urock a key, {} a signature", found.key_fee_urock, found.signature_fee_urock))?;
        found.parties.iter().try_for_each(|party| say(&format!("party  {party}")))
    }

    async fn admin(&self) -> Result<Admin, WalletError> {
        Ok(Admin::connect(self.grpc(), &self.chain_id, self.account()?).await?)
    }

    async fn customer(&self, keyring: &str) -> Result<Customer, WalletError> {
        Ok(Customer::connect(self.grpc(), &self.chain_id, keyring, self.account()?).await?)
    }

    fn chain(&self, keyring: &str) -> Result<ZrChain, WalletError> {
        let id = ChainId::new(&self.chain_id).map_err(|_| WalletError::ChainId(self.chain_id.clone()))?;
        Ok(ZrChain::new(id, keyring, vec![Endpoint::at(&self.grpc)?], Settings::default()))
    }

    fn account(&self) -> Result<PartyAccount, WalletError> {
        let path: &Path = self.account.as_deref().ok_or(WalletError::NoAccount)?;
        Ok(PartyAccount::from_file(path)?)
    }

    fn grpc(&self) -> &str {
        self.grpc.as_str()
    }
}

impl Kind {
    const fn key_type(self) -> KeyType {
        match self {
            Self::Ecdsa => KeyType::EcdsaSecp256k1,
            Self::Ed25519 => KeyType::EddsaEd25519,
            Self::Bitcoin => KeyType::BitcoinSecp256k1,
        }
    }
}

fn request_id(name: &str) -> Result<RequestId, WalletError> {
    let wrong = || WalletError::Request(name.to_owned());
    let (kind, number) = name.split_once('-').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    match kind {
        "key" => Ok(RequestId::key(number)),
        "signature" => Ok(RequestId::signature(number)),
        _ => Err(wrong()),
    }
}

fn told(request: &Request) -> String {
    let status = match request.status {
        Status::Pending => "pending",
        Status::Partial => "partial",
        Status::Fulfilled => "fulfilled",
        Status::Rejected => "rejected",
    };
    let shown: Vec<_> = request.shown.iter().map(hex::encode).collect();
    let mut text = format!("{}  {status}, {} answers  {}", request.id, request.answered_by.len(), shown.join(" "));
    text += &request.reject_reason;
    text.trim_end().to_owned()
}

fn say(text: &str) -> Result<(), WalletError> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn requests_are_named_as_the_chain_names_them() {
        for id in [RequestId::key(7), RequestId::signature(12)] {
            assert_eq!(request_id(&id.to_string()).expect("a name"), id);
        }
        assert!(request_id("key-x").is_err() && request_id("7").is_err() && request_id("door-7").is_err());
    }
}
