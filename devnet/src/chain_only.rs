//! The development chain alone, as a command: a genesis file in, a gRPC endpoint out.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use thiserror::Error;

use crate::chain::{BlockOutcome, Bounds, Genesis, GenesisError};
use crate::server::{Devnet, Options, StartError};

/// How often the height is printed.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the development chain without any keyring.
#[derive(Debug, Clone, Args)]
pub struct ChainOnlyArgs {
    /// Genesis file: chain id, accounts with balances, parameters, reserved keys.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// Address of the gRPC endpoint; give it several times for several endpoints.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub grpc: Vec<SocketAddr>,
    /// Time between blocks, such as 200ms or 1s.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    pub block_interval: Duration,
    /// Folder that keeps the chain across restarts; without it the chain lives in memory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Why the chain ended before it was told to.
#[derive(Debug, Error)]
pub enum ChainOnlyError {
    /// The genesis file.
    #[error("genesis file cannot be used")]
    Genesis(#[from] GenesisError),
    /// The start.
    #[error("chain cannot start")]
    Start(#[from] StartError),
    /// Standard output or signals.
    #[error("terminal cannot be used")]
    Terminal(#[from] io::Error),
}

/// Reads `200ms`, `1s`, `1.5s`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').ok_or("expected a number with ms or s, such as 200ms")?, 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|error| error.to_string())? * unit;
    if !(0.001..=3_600.0).contains(&seconds) {
        return Err("expected between 1ms and 3600s".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Runs until Ctrl-C, printing what a person needs: chain id, endpoints, accounts, the height now and then.
///
/// # Errors
/// The genesis file, the data folder, an address or the terminal cannot be used.
pub async fn chain_only(args: ChainOnlyArgs) -> Result<(), ChainOnlyError> {
    let genesis = Genesis::read(&args.genesis)?;
    let options = Options {
        block_interval: args.block_interval,
        endpoints: args.grpc,
        bounds: Bounds::default(),
        data: args.data,
    };
    let devnet = Devnet::start(&genesis, options).await?;
    introduce(&devnet, &genesis)?;
    let mut blocks = devnet.handle().subscribe();
    let mut report = tokio::time::interval(REPORT_INTERVAL);
    loop {
        tokio::select! {
            block = blocks.recv() => {
                if let Ok(block) = block && !block.transactions.is_empty() {
                    say(&transactions(&block))?;
                }
            }
            _ = report.tick() => say(&format!("height {}", devnet.handle().height()))?,
            stop = tokio::signal::ctrl_c() => {
                stop?;
                break;
            }
        }
    }
    let height = devnet.handle().height();
    devnet.stop().await;
    say(&format!("stopped at height {height}"))?;
    Ok(())
}

fn introduce(devnet: &Devnet, genesis: &Genesis) -> io::Result<()> {
    say(&format!("chain    {}", genesis.chain_id))?;
    for endpoint in devnet.endpoints() {
        say(&format!("grpc     {}", endpoint.address))?;
    }
    let chain = devnet.handle().view();
    for account in &genesis.accounts {
        let name = account.name.as_deref().or(account.module.as_deref()).unwrap_or("");
        say(&format!("account  {} {:>20} urock  {name}", account.address, chain.balance(&account.address)))?;
    }
    Ok(())
}

fn transactions(block: &BlockOutcome) -> String {
    let failed = block.transactions.iter().filter(|result| result.code != 0).count();
    format!("height {}: {} transactions, {failed} failed", block.height, block.transactions.len())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ChainOnlyArgs,
    }

    #[test]
    fn the_command_line_is_read() {
        let line = "x --genesis g.json --grpc 127.0.0.1:1 --grpc 127.0.0.1:2 --block-interval 200ms --data d";
        let Line { args } = clap::Parser::try_parse_from(line.split(' ')).expect("a command line");
        assert_eq!((args.grpc.len(), args.block_interval), (2, Duration::from_millis(200)));
        assert_eq!(args.data.as_deref(), Some(std::path::Path::new("d")));
        let Line { args } = clap::Parser::try_parse_from(["x", "--genesis", "g.json"]).expect("a command line");
        assert_eq!((args.grpc[0].port(), args.block_interval), (9_090, Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn a_missing_genesis_is_named() {
        let args = ChainOnlyArgs {
            genesis: PathBuf::from("/nowhere/genesis.json"),
            grpc: Vec::new(),
            block_interval: Duration::from_secs(1),
            data: None,
        };
        let error = chain_only(args).await.expect_err("no such file");
        assert!(std::error::Error::source(&error).is_some_and(|why| why.to_string().contains("/nowhere/genesis.json")));
    }

    #[test]
    fn intervals_are_read_with_their_unit() {
        assert_eq!(parse_interval("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_interval("1.5s"), Ok(Duration::from_millis(1_500)));
        assert!(parse_interval("0s").is_err());
        assert!(parse_interval("5").is_err());
        assert!(parse_interval("NaNs").is_err());
    }
}
