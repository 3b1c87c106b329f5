//! Of three parties one is dead and one was killed and started again: it waits for one more peer, or for the operator who
//! knows that the silent one is dead.

use std::time::Duration;

use crate::operator::{fails, keyringd, on_record, readyz, succeeds, wait};
use crate::{Crew, is_whole, leases, nothing_is_answered, three_with_a_key};

const ALIVE: usize = 0;
const BACK: usize = 1;
const DEAD: usize = 2;
/// It starts, links and says hello.
const EARLY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_while_another_is_silent_acts_when_its_operator_vouches_that_this_one_is_dead() {
    let (mut crew, customer, keys) = three_with_a_key().await;

    crew.kill_party(BACK).await;
    crew.kill_party(DEAD).await;
    let alone =
        "too_few_to_sign: 1 of 2 parties that a signature needs are here, absent: party-1, party-2; start the missing";
    readyz(&crew, ALIVE, 503, &[alone]).await;
    let mut asked = customer.ask_signatures(keys[0], &[vec![1; 32]]).await;
    asked.extend(customer.ask_keys(&["ed25519"]).await);

    let before = leases(&crew, BACK);
    crew.start_party(BACK, &[]);
    let vouch = |crew: &Crew, name: &str| keyringd(crew, BACK, &["peers", "vouch", name]);
    // While it has not heard anybody yet, least of all can it say who is dead.
    let early = tokio::time::Instant::now() + EARLY;
    while tokio::time::Instant::now() < early {
        assert!(!vouch(&crew, "party-0").status.success(), "a living party was vouched dead");
    }
    let waits = "waits_for_peer_or_vouch: more than half of the peers must have known this process once; not heard since its \
                 start: party-2; start one more peer, or `keyringd peers vouch` one that is dead";
    readyz(&crew, BACK, 503, &[waits]).await;
    nothing_is_answered(&crew, &customer, &asked).await;
    readyz(&crew, BACK, 503, &[waits]).await;
    fails(&vouch(&crew, "party-0"), 1, "party-0: it was heard within the last lease");
    fails(&vouch(&crew, "party-1"), 1, "no other party of the roster is named \"party-1\"");
    assert_eq!(leases(&crew, BACK), before, "refused words change nothing");

    // It counts as here for nobody: of what it cannot do its peer says nothing less than it does itself.
    readyz(&crew, ALIVE, 503, &[alone]).await;

    wait("it has listened for a lease", async || {
        let said = vouch(&crew, "party-2");
        said.status.success() && succeeds(&said).contains("done, and on record")
    })
    .await;
    let degraded = readyz(&crew, BACK, 200, &["degraded peers_absent: absent: party-2"]).await;
    assert!(!degraded.contains("keeps_out"), "nothing is out of bounds any more: {degraded}");
    customer.all_fulfilled(&asked).await;
    assert_eq!(leases(&crew, BACK), before + 1);
    assert!(crew.log_text(BACK).contains("party 2 was declared dead by this node's operator"));
    assert!(crew.stop_party(BACK).await.success());
    assert_eq!(on_record(&crew, BACK), ["declared dead"]);

    // The word was about that process's time. Who was thought dead comes back like anybody else.
    crew.start_party(BACK, &[]);
    crew.start_party(DEAD, &[]);
    crew.until("everybody is here again", is_whole).await;
    let last = customer.ask_signatures(keys[0], &[vec![2; 32]]).await;
    customer.all_fulfilled(&last).await;
    crew.stop().await;
}
