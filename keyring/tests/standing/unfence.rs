//! Two live copies of a party: its peers fence it, for good, and hear nothing of it until the operator of each has decided.

use keyring::lease::{LeaseWord, Refusal};
use mpc_core::PartyIndex;

use crate::double::Double;
use crate::ground::party_address;
use crate::operator::{fails, keyringd, on_record, readyz, says, succeeds};
use crate::{Crew, is_whole, leases, three_with_a_key};

const COPIED: usize = 2;
const FENCED: &str = "degraded peer_fenced: two live copies were seen of party-2; its operator ends a copy for good";

/// One token, two different chances: nobody but two copies of one memory says that.
async fn two_copies_live(crew: &Crew) {
    let mut double = Double::of(crew, COPIED).await;
    for peer in [0, 1].map(PartyIndex::new) {
        let token = double.hello(peer).await;
        let first = double.renew(peer, token, 11).await;
        assert!(matches!(first, LeaseWord::Renewed { is_doubled: false, .. }), "{first:?}");
        let again = double.renew(peer, token, 11).await;
        assert!(matches!(again, LeaseWord::Renewed { .. }), "the same said twice is no second copy: {again:?}");
        let second = double.renew(peer, token, 12).await;
        assert_eq!(second, LeaseWord::Refused { nonce: 12, reason: Refusal::Fenced });
    }
    double.end().await;
}

/// What a peer of the copied party says of it, wherever one looks.
async fn is_fenced_at(crew: &Crew, peer: usize) {
    readyz(crew, peer, 200, &["ready\n", FENCED, "`keyringd peers unfence`"]).await;
    let status = crew.status(peer).await.unwrap();
    assert!(says(&status, "peer_fenced") && status.peers.iter().any(|peer| peer.name == "party-2" && peer.fenced));
    let table = succeeds(&keyringd(crew, peer, &["peers"]));
    assert!(table.lines().any(|line| line.contains("party-2") && line.contains("FENCED")), "{table}");
    let log = crew.log_text(peer);
    let alarm = "a process of party 2 is refused: two live copies of this party were seen; an operator must decide";
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(alarm)), "party {peer}:\n{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_of_which_two_live_copies_were_seen_acts_again_when_the_operators_of_its_peers_say_so() {
    let (mut crew, customer, keys) = three_with_a_key().await;

    assert!(crew.stop_party(COPIED).await.success());
    let unfence = |crew: &Crew, peer| keyringd(crew, peer, &["peers", "unfence", "party-2"]);
    fails(&unfence(&crew, 0), 1, "party-2: it is not fenced here");
    two_copies_live(&crew).await;
    is_fenced_at(&crew, 0).await;
    is_fenced_at(&crew, 1).await;

    // The party itself, alone again, in a later life than both. It is refused, and the others answer without it.
    let (before, owned) = (leases(&crew, COPIED), balance(&crew));
    crew.start_party(COPIED, &[]);
    let refusal =
        |peer: usize| format!("refused_by_peer: party-{peer} refuses this process: two live copies of this party");
    readyz(&crew, COPIED, 503, &[&refusal(0), &refusal(1), "no_lease: 0 of 1 peers"]).await;
    let asked = customer.ask_keys(&["ed25519"]).await;
    customer.all_fulfilled(&asked).await;
    // On disk, that is.
    crew.kill_party(1).await;
    crew.start_party(1, &[]);
    is_fenced_at(&crew, 1).await;

    assert!(succeeds(&unfence(&crew, 0)).contains("done, and on record"));
    let half = readyz(&crew, COPIED, 503, &["waits_for_peer_or_vouch", &refusal(1)]).await;
    assert!(!half.contains(&refusal(0)), "{half}");
    assert_eq!(leases(&crew, COPIED), before, "one of two peers is no more than half");
    assert_eq!(crew.status(COPIED).await.unwrap().runs, 0);
    assert_eq!(balance(&crew), owned, "it has sent nothing to the chain");
    succeeds(&unfence(&crew, 1));
    crew.until("everybody is here again", is_whole).await;
    assert_eq!(leases(&crew, COPIED), before + 1);

    // Without the first party, nothing goes without the one that was copied.
    assert!(crew.stop_party(0).await.success());
    assert_eq!(on_record(&crew, 0), ["unfenced"]);
    readyz(&crew, 1, 200, &["degraded peers_absent: absent: party-0"]).await;
    let needed = customer.ask_signatures(keys[0], &[vec![1; 32]]).await;
    customer.all_fulfilled(&needed).await;
    assert!(balance(&crew) < owned, "it has paid for its answers");
    assert!(crew.stop_party(1).await.success());
    assert_eq!(on_record(&crew, 1), ["unfenced"]);
    crew.stop().await;
}

/// What the copied party's account holds: less with each transaction of it.
fn balance(crew: &Crew) -> u128 {
    crew.devnet.handle().view().balance(&party_address(COPIED))
}
