//! A crash at each durable write of the path of a contract's requests, on both sides of the write: nothing is lost, nothing
//! is decided twice (laws 2 and 9).
//!
//! One party dies at each of its writes in every test run; with `KEYRING_CRASHES=all` each party does.

use chain_client::Height;
use chain_client::zrsign::name::WalletKind;
use keyring::contract;
use keyring::decree::DecreeId;
use keyring::node::{ContractNews, Event, Said};
use keyring::store::{CrashPoint, Store as _};
use mpc_core::PartyIndex;

use super::simple::{asks, completed, scene};
use super::support::Cluster;
use super::{Contract, chain, one};

/// A hash and a simple transaction: five decrees and what stands between them.
fn ask(cluster: &mut Cluster, contract: &mut Contract) -> Vec<DecreeId> {
    let hash = contract.hash(WalletKind::Evm, 0, &[7; 32]);
    contract.says(cluster, vec![Said::Asked(hash.clone(), true)]);
    let (hash, simple) = (hash.decree().unwrap(), asks(cluster, contract, 1));
    let authorisations = [&hash, &simple].map(contract::authorisation_of);
    [authorisations.to_vec(), vec![contract::completion_of(&simple), hash, simple]].concat()
}

fn writes(cluster: &Cluster, party: PartyIndex) -> u64 {
    cluster.parties[usize::from(party.get())].store.head().position
}

#[test]
fn whatever_write_a_party_dies_at_everything_is_answered_once() {
    let (mut honest, mut contract, _) = scene(2, 3);
    let before = [0, 1, 2].map(|party| writes(&honest, PartyIndex::new(party)));
    let asked = ask(&mut honest, &mut contract);
    asked.iter().for_each(|decree| drop(one(&honest, decree, 3)));
    let all = std::env::var("KEYRING_CRASHES").is_ok_and(|which| which == "all");
    let mut sites = 0;
    for party in (0..if all { 3 } else { 1 }).map(PartyIndex::new) {
        for write in before[usize::from(party.get())] + 1..=writes(&honest, party) {
            for point in [CrashPoint::Before(write), CrashPoint::After(write)] {
                dies_at(party, point);
                sites += 1;
            }
        }
    }
    assert!(sites > 20, "only {sites} sites: the path has more writes");
}

fn dies_at(party: PartyIndex, point: CrashPoint) {
    let (mut cluster, mut contract, _) = scene(2, 3);
    cluster.parties[usize::from(party.get())].store.crash_at(point);
    let asked = ask(&mut cluster, &mut contract);
    assert_eq!(cluster.restarts, 1, "{point:?}");
    // A process that died reads on from its own mark: what it has taken already it does not take again.
    for span in contract.told.clone() {
        cluster.tell(party, Event::Contract(chain(), ContractNews::Span(Box::new(span))));
    }
    let news = ContractNews::Final { height: Height(contract.mark.height), hash: contract.mark.hash.0 };
    cluster.tell(party, Event::Contract(chain(), news));
    // It learns one decision after the other, and asks for each only now and then.
    for _ in 0..8 {
        cluster.settle();
        if asked.iter().all(|decree| cluster.answers(decree).len() == 3) {
            break;
        }
    }
    for decree in &asked {
        let answers = cluster.answers(decree);
        assert_eq!(answers.len(), 3, "party {party} died at {point:?}: all know {decree}");
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "party {party} died at {point:?}: {decree}");
    }
    assert_eq!(completed(&cluster, &asked[4], 3).nonce, 3);
}
