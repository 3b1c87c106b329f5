//! Who uses the keyring: a user of the zrChain and, with `--evm`, a dapp on each of two EVM chains. All ask side by side,
//! into one table with one sum.
//!
//! Refuses to know how the parties run; it owes that a party's death ends the asking.

use alloy_primitives::U256;
use chain_client::PartyAccount;
use devnet::demo::User;
use devnet::evm::{Dapp, EvmTown};

use super::crew::Crew;
use super::ground::{Ground, Place};
use super::{CHAIN, Console, DevnetArgs, DevnetError, Outcome, READY_PATIENCE};

/// The EVM chains of `--evm`.
const EVM_CHAINS: [u64; 2] = [31_337, 31_338];
/// What every party's account there is given: ten ether.
const PARTY_WEI: u128 = 10_000_000_000_000_000_000;

/// Two EVM chains, each with a contract and with ether in every party's account.
pub(super) async fn towns(ground: &Ground, board: &Console) -> Result<Vec<EvmTown>, DevnetError> {
    let mut towns = Vec::new();
    for chain in EVM_CHAINS {
        let town = EvmTown::start(chain, &EVM_CHAINS, ground.folder()).await?;
        for party in ground.parties() {
            town.fund(party.evm_account, U256::from(PARTY_WEI)).await?;
        }
        board.note(&format!("EVM chain          {}, JSON-RPC at {}", town.proxy(), town.url()))?;
        towns.push(town);
    }
    Ok(towns)
}

/// Gives each contract's controller key its role, as soon as all parties name the same one.
pub(super) async fn admit_controllers(towns: &[EvmTown], crew: &mut Crew, board: &Console) -> Result<(), DevnetError> {
    for town in towns {
        let controller = crew.controller(&town.proxy().to_string(), READY_PATIENCE).await?;
        town.grant(controller).await?;
        board.note(&format!("controller key     {controller} for {}", town.proxy()))?;
    }
    Ok(())
}

/// Everybody's work, while all parties live. The verdict stands as soon as there is one.
pub(super) async fn serve(
    args: &DevnetArgs,
    place: &Place,
    account: PartyAccount,
    towns: &[EvmTown],
    crew: &mut Crew,
    board: &Console,
    verdict: &mut Outcome,
) -> Result<(), DevnetError> {
    let work = async {
        let mut user = User::connect(&place.grpc, CHAIN, &place.keyring, account).await?;
        board.note(&format!("user               workspace {}", user.workspace()))?;
        ask(&mut user, towns, board).await?;
        let summary = board.summary()?;
        *verdict = if summary.is_success() { Outcome::Well } else { Outcome::Failed };
        if !args.once {
            user.watch(board).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = work => ended,
        died = crew.one_died() => Err(died.into()),
    }
}

/// All who ask, side by side. The second dapp asks for little: it shows that the second contract is served too, by a
/// controller key of its own.
async fn ask(user: &mut User, towns: &[EvmTown], board: &Console) -> Result<(), DevnetError> {
    let [first, second, ..] = towns else { return Ok(user.make_requests(board).await?) };
    let (mut dapp, mut other) = (Dapp::open(first, second).await?, Dapp::open(second, first).await?);
    for (dapp, town) in [(&dapp, first), (&other, second)] {
        board.note(&format!("dapp               consumer {} on {}", dapp.consumer(), town.caip()))?;
    }
    tokio::try_join!(
        async { Ok::<_, DevnetError>(user.make_requests(board).await?) },
        async { Ok(dapp.make_requests(board).await?) },
        async { Ok(other.make_two_requests(board).await?) },
    )?;
    Ok(())
}
