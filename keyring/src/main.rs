//! `keyringd`: one party of an off-chain MPC keyring. Everything is in the library; the commands are in `cli`.

use std::process::ExitCode;

// Toy parameters, cheats and planted breaks come in through features of other crates of the workspace. A daemon that is
// built for money refuses all of them, whoever switched them on.
const _: () =
    assert!(cfg!(debug_assertions) || !mpc_core::TESTING, "a release keyringd is never built with toy parameters");
const _: () = assert!(
    cfg!(debug_assertions) || cfg!(feature = "devnet") || !mpc_core::PREPARED_PRIMES,
    "a release keyringd is never built with prepared primes"
);

fn main() -> ExitCode {
    keyring::cli::main()
}
