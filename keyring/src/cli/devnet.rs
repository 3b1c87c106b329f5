//! `keyringd devnet`: the main job in one command. A development chain in this process, N parties as real processes,
//! an administrator and a user on the chain, with `--evm` two more chains and their users; ends when all are served, or
//! on Ctrl-C.
//!
//! Refuses to know how parties agree or sign: they are the same program, started with `run`. It owes that no process
//! outlives it while it can still act, and that a person finds every log, config and socket.

mod crew;
mod ground;
mod guests;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use devnet::chain_only::{ChainOnlyArgs, ChainOnlyError, chain_only};
use devnet::demo::{self, Admin, Board, DemoError, Style};
use devnet::evm::TownError;
use devnet::server::{Devnet, Options, StartError};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tokio::signal::unix::{SignalKind, signal};

use self::crew::{Crew, CrewError};
use self::ground::{EvmPlace, Ground, GroundError, Place};

/// The chain's name in its genesis: the one that development setups use.
const CHAIN: &str = "zenrock";
/// What every party's account is given for gas.
const PARTY_UROCK: u128 = 10_000_000_000;
/// Most parties: there are prepared primes for so many.
pub const PARTIES_MAX: u16 = 16;
/// Longest wait for all parties to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(180);

/// Runs a development chain and a whole keyring on this machine, and uses it.
#[derive(Args, Clone, Debug)]
pub struct DevnetArgs {
    /// How many parties, each a process.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=i64::from(PARTIES_MAX)))]
    parties: u16,
    /// How many of them sign. Default: more than half.
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=i64::from(PARTIES_MAX)))]
    threshold: Option<u16>,
    /// End when every request has been answered; the exit code says whether all is well.
    #[arg(long)]
    once: bool,
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// An empty or new folder for everything that is written. Default: a new one under the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Time between blocks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    block_interval: Duration,
    /// Two EVM chains with zrSign contracts as well: real nodes, dapps that use the keyring beside the user.
    #[arg(long, conflicts_with = "chain_only")]
    evm: bool,
    /// Only the chain, without any party, from a genesis file.
    #[arg(long, requires = "genesis", conflicts_with_all = ["parties", "threshold", "once", "json"])]
    chain_only: bool,
    /// Genesis file of `--chain-only`.
    #[arg(long, value_name = "FILE", requires = "chain_only")]
    genesis: Option<PathBuf>,
    /// Address of a gRPC endpoint of `--chain-only`; several give several endpoints.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    grpc: Vec<SocketAddr>,
}

/// Why it ended without a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// Parties and threshold do not fit.
    #[error("--threshold {threshold} of --parties {parties}: it must be at least 2 and at most the number of parties")]
    Threshold {
        /// Signers asked for.
        threshold: u16,
        /// Parties asked for.
        parties: u16,
    },
    /// The chain alone.
    #[error("the chain ended")]
    ChainOnly(#[from] ChainOnlyError),
    /// The chain.
    #[error("the development chain does not start")]
    Chain(#[from] StartError),
    /// Files.
    #[error("the data folder cannot be laid out")]
    Ground(#[from] GroundError),
    /// Processes.
    #[error("the parties do not run")]
    Crew(#[from] CrewError),
    /// Administrator or user.
    #[error("the demo cannot go on")]
    Demo(#[from] DemoError),
    /// An EVM chain, its contract or its dapp.
    #[error("the EVM chains cannot go on")]
    Town(#[from] TownError),
    /// A party does not say what it must.
    #[error("{party} does not say {what}")]
    Unsaid {
        /// Which.
        party: String,
        /// What.
        what: &'static str,
    },
    /// Output or signals.
    #[error("the terminal cannot be used")]
    Terminal(#[from] std::io::Error),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request fulfilled and verified, or nothing was to be done.
    Well,
    /// A request was not.
    Failed,
    /// A person or the system ended it before there was a verdict.
    Interrupted,
}

/// What a person sees.
type Console = Board<std::io::Stdout>;

/// Does it all. Returns when nothing that it started runs any more.
///
/// # Errors
/// [`DevnetError`]; everything that was started has been ended.
pub async fn run(args: DevnetArgs) -> Result<Outcome, DevnetError> {
    if args.chain_only {
        let DevnetArgs { genesis, grpc, block_interval, data, .. } = args;
        chain_only(ChainOnlyArgs { genesis: genesis.unwrap_or_default(), grpc, block_interval, data }).await?;
        return Ok(Outcome::Well);
    }
    let threshold = args.threshold.unwrap_or(args.parties / 2 + 1);
    if threshold > args.parties {
        return Err(DevnetError::Threshold { threshold, parties: args.parties });
    }
    let style = match (args.json, std::io::stdout().is_terminal()) {
        (true, _) => Style::Json,
        (false, true) => Style::Live,
        (false, false) => Style::Lines,
    };
    let board = Board::new(std::io::stdout(), style);
    let mut interrupted = Signals::new()?;

    let mut rng = ChaCha20Rng::from_entropy();
    let ground = Ground::draw_up(args.data.clone(), args.parties, &mut rng)?;
    board.note(&format!("data folder        {}", ground.folder().display()))?;
    let (admin, user) = (ground::account(&mut rng)?, ground::account(&mut rng)?);
    let genesis = demo::genesis(CHAIN, &[("admin", admin.address()), ("user", user.address())]);
    let chain = Devnet::start(&genesis, Options { block_interval: args.block_interval, ..Options::default() }).await?;
    let grpc = chain.endpoints().first().map(devnet::server::Endpoint::url).unwrap_or_default();
    board.note(&format!("development chain  {CHAIN}, gRPC at {grpc}"))?;

    let towns = if args.evm { guests::towns(&ground, &board).await? } else { Vec::new() };
    let mut crew = Crew::default();
    let mut verdict = Outcome::Interrupted;
    let people = async {
        let mut place = register(&chain, admin, &ground, threshold, &grpc, args.block_interval).await?;
        place.contracts = towns.iter().map(EvmPlace::of).collect();
        board.note(&format!("keyring            {}, {threshold} of {} parties", place.keyring, args.parties))?;
        ground.write(&place, &mut rng)?;
        for (number, party) in ground.parties().iter().enumerate() {
            crew.start(party, number)?;
            board.note(&introduction(party))?;
        }
        crew.wait_until_ready(READY_PATIENCE, &board).await?;
        guests::admit_controllers(&towns, &mut crew, &board).await?;
        guests::serve(&args, &place, user, &towns, &mut crew, &board, &mut verdict).await
    };
    let ended = tokio::select! {
        ended = people => ended,
        () = interrupted.any() => Ok(()),
    };
    crew.stop().await;
    chain.stop().await;
    ended.map(|()| verdict)
}

/// For a party that this command started: ends it in order when this process is gone, even if that was killed.
///
/// The system watches the thread that started the party; it is the main one, which polls [`run`].
///
/// # Errors
/// When the system refuses.
pub(super) fn end_with_parent() -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?)
}

fn introduction(party: &ground::Party) -> String {
    let ground::Party { name, config, log, socket, .. } = party;
    format!(
        "{name:<10} config {}\n{:<10} log    {}\n{:<10} socket {}",
        config.display(),
        "",
        log.display(),
        "",
        socket.display()
    )
}

/// The administrator's work: the keyring stands on the chain and its parties can pay.
async fn register(
    chain: &Devnet,
    admin: chain_client::PartyAccount,
    ground: &Ground,
    threshold: u16,
    grpc: &str,
    block_interval: Duration,
) -> Result<Place, DevnetError> {
    // A chain without blocks answers no questions.
    let first = chain.handle().wait_for_height(1, block_interval.saturating_mul(20)).await;
    first.map_err(|error| DemoError::Silent { what: "the first block".to_owned(), reason: error.to_string() })?;
    let accounts: Vec<_> = ground.parties().iter().map(|party| party.account.clone()).collect();
    let mut admin = Admin::connect(grpc, CHAIN, admin).await?;
    let keyring = admin.make_keyring(&accounts, threshold.into()).await?;
    admin.fund(&accounts, PARTY_UROCK).await?;
    let poll_interval = (block_interval / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
    let contracts = Vec::new();
    Ok(Place { chain: CHAIN.to_owned(), keyring, grpc: grpc.to_owned(), threshold, poll_interval, contracts })
}

/// Everything by which a person or the system asks for an end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            _ = self.hangup.recv() => (),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(20)..=Duration::from_secs(60);
    if bounds.contains(&interval) { Ok(interval) } else { Err("expected between 20ms and 60s".to_owned()) }
}
