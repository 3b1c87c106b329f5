//! `keyringd`: one party of an off-chain MPC keyring. Everything is in the library; the commands are in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyring::cli::main()
}
