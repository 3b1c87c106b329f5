//! Many processes of few parties, among them copies of disks and of memories, on a network that loses and delays: at no
//! moment may two processes of one party both act.

use std::collections::BTreeMap;

use mpc_core::PartyIndex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;

const CHAIN: &str = "chain";

/// What survives a process.
#[derive(Clone, Default)]
struct Disk {
    boot: u64,
    remembered: Remembered,
    journal: Vec<[u8; 32]>,
}

struct Body {
    party: PartyIndex,
    lease: Lease,
    disk: Disk,
    alive: bool,
    reach: BTreeSet<PartyIndex>,
    /// The account's next sequence by chain, as its controller knows it.
    sequences: BTreeMap<String, u64>,
}

struct Flying {
    at: Millis,
    from: usize,
    to: usize,
    heard: Heard,
    word: LeaseWord,
}

struct Town {
    of: u16,
    quorum: usize,
    now: Millis,
    bodies: Vec<Body>,
    flying: Vec<Flying>,
    /// Which body, and what it said.
    alarms: Vec<(usize, String)>,
    rng: ChaCha20Rng,
    delay_ms: Millis,
    loss: f64,
}

fn party(index: u16) -> PartyIndex {
    PartyIndex::new(index)
}

impl Town {
    fn new(of: u16, quorum: usize, seed: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        let (bodies, flying, alarms) = (Vec::new(), Vec::new(), Vec::new());
        let mut town = Self { of, quorum, now: 0, bodies, flying, alarms, rng, delay_ms: 50, loss: 0.0 };
        for index in 0..of {
            town.boot(party(index), Disk::default());
        }
        town
    }

    /// A process starts from a disk; its number among the bodies.
    fn boot(&mut self, me: PartyIndex, mut disk: Disk) -> usize {
        disk.boot += 1;
        let process = Process { life: Life { incarnation: 0, boot: disk.boot }, instance: self.rng.r#gen() };
        let parties = (0..self.of).map(party);
        let lease = Lease::new(me, parties, self.quorum, process, disk.remembered.clone(), self.now);
        self.put(me, lease, disk)
    }

    fn put(&mut self, me: PartyIndex, lease: Lease, disk: Disk) -> usize {
        let reach: BTreeSet<PartyIndex> = (0..self.of).map(party).filter(|peer| *peer != me).collect();
        self.bodies.push(Body { party: me, lease, disk, alive: true, reach, sequences: BTreeMap::new() });
        let number = self.bodies.len() - 1;
        for peer in (0..self.of).map(party).filter(|peer| *peer != me) {
            self.bodies[number].lease.link_up(peer);
        }
        number
    }

    /// One more process with the memory of another one.
    fn copy_memory(&mut self, of: usize) -> usize {
        let body = &self.bodies[of];
        let (me, lease, disk) = (body.party, body.lease.clone(), body.disk.clone());
        self.put(me, lease, disk)
    }

    /// What goes with every word of a process.
    fn heard_of(&self, number: usize) -> Heard {
        let (from, instance) = (self.bodies[number].party, self.bodies[number].lease.process().instance);
        Heard { from, instance, journal: self.head(number), is_consented: false }
    }

    fn head(&self, number: usize) -> Held {
        let journal = &self.bodies[number].disk.journal;
        Held { position: journal.len() as u64, hash: journal.last().copied().unwrap_or_default() }
    }

    /// A durable write: the journal moves, and what was seen of peers is kept beside it.
    fn write(&mut self, number: usize) {
        let hash = self.rng.r#gen();
        let body = &mut self.bodies[number];
        body.disk.journal.push(hash);
        if let Some(remembered) = body.lease.take_remembered() {
            body.disk.remembered = remembered;
        }
    }

    fn perform(&mut self, number: usize, acts: Vec<Act>, reply_to: Option<usize>) {
        for act in acts {
            match act {
                Act::Say(peer, word) => self.send(number, peer, word, reply_to),
                Act::SayDurably(peer, word) => {
                    self.write(number);
                    self.send(number, peer, word, reply_to);
                }
                Act::Draw => {
                    let nonce = self.rng.r#gen();
                    let Body { lease, sequences, .. } = &mut self.bodies[number];
                    let acts = lease.nonce(nonce, sequences, self.now);
                    self.perform(number, acts, None);
                }
                Act::Show(peer, nonce, position) => {
                    let journal = &self.bodies[number].disk.journal;
                    let hash = (position as usize).checked_sub(1).and_then(|place| journal.get(place)).copied();
                    let held = hash.map(|hash| Held { position, hash });
                    let acts = self.bodies[number].lease.show(peer, nonce, held);
                    self.perform(number, acts, reply_to);
                }
                Act::Alarm(text) => self.alarms.push((number, text)),
                Act::Remember => self.write(number),
                Act::Note(_) => {}
            }
        }
    }

    /// A reply goes where the question came from; anything else to some living process of that party.
    fn send(&mut self, from: usize, peer: PartyIndex, word: LeaseWord, reply_to: Option<usize>) {
        let living: Vec<usize> =
            (0..self.bodies.len()).filter(|to| self.bodies[*to].alive && self.bodies[*to].party == peer).collect();
        let Some(to) = reply_to.or_else(|| living.get(self.rng.gen_range(0..living.len().max(1))).copied()) else {
            return;
        };
        let (me, heard) = (self.bodies[from].party, self.heard_of(from));
        let reaches = self.bodies[from].reach.contains(&peer) && self.bodies[to].reach.contains(&me);
        if reaches && !self.rng.gen_bool(self.loss) {
            // Links keep their order.
            let last = self.flying.iter().filter(|fly| (fly.from, fly.to) == (from, to)).map(|fly| fly.at).max();
            let at = (self.now + self.rng.gen_range(1..=self.delay_ms)).max(last.unwrap_or(0));
            self.flying.push(Flying { at, from, to, heard, word });
        }
    }

    /// A process that may act tells its peers something, so that they see where its journal stands.
    fn state(&mut self, number: usize) {
        if !self.bodies[number].lease.may_act(self.now) {
            return;
        }
        self.write(number);
        let heard = self.heard_of(number);
        let (me, instance) = (heard.from, heard.instance);
        for to in 0..self.bodies.len() {
            let hears = self.bodies[to].alive && self.bodies[to].lease.hears(me, instance);
            if hears && self.bodies[number].reach.contains(&self.bodies[to].party) {
                self.bodies[to].lease.saw(&heard);
            }
        }
    }

    fn run(&mut self, ms: Millis) {
        let end = self.now + ms;
        while self.now < end {
            self.now += 50;
            let (due, later): (Vec<_>, Vec<_>) = self.flying.drain(..).partition(|fly| fly.at <= self.now);
            self.flying = later;
            for Flying { from, to, heard, word, .. } in due {
                if self.bodies[to].alive {
                    let acts = self.bodies[to].lease.hear(&heard, &word, self.now);
                    self.perform(to, acts, Some(from));
                }
            }
            if self.now.is_multiple_of(100) {
                for number in 0..self.bodies.len() {
                    if self.bodies[number].alive {
                        let Body { lease, sequences, .. } = &mut self.bodies[number];
                        let acts = lease.tick(sequences, self.now);
                        self.perform(number, acts, None);
                    }
                }
            }
        }
    }

    fn acting(&self, of: PartyIndex) -> Vec<usize> {
        (0..self.bodies.len())
            .filter(|number| {
                let body = &self.bodies[*number];
                body.alive && body.party == of && body.lease.may_act(self.now)
            })
            .collect()
    }

    fn only_one_acts(&self) {
        for index in 0..self.of {
            let acting = self.acting(party(index));
            assert!(acting.len() <= 1, "at {} ms the processes {acting:?} of party {index} act", self.now);
        }
    }

    /// Bodies that raised an alarm with these words, as often as they did.
    fn alarmed(&self, what: &str) -> Vec<usize> {
        self.alarms.iter().filter(|(_, text)| text.contains(what)).map(|(number, _)| *number).collect()
    }

    fn is_refused(&self, number: usize, by: PartyIndex, why: Refusal) -> bool {
        let refused = Restraint::Refused { by, reason: why };
        self.bodies[number].lease.restraints(self.now).contains(&refused)
    }
}

#[test]
fn a_fresh_cluster_acts_at_once_and_goes_on() {
    let mut town = Town::new(5, 3, 1);
    town.run(1_000);
    for index in 0..5 {
        assert_eq!(town.acting(party(index)).len(), 1);
    }
    town.run(60_000);
    for body in &town.bodies {
        assert!(body.lease.may_act(town.now));
        assert_eq!(body.lease.restraints(town.now), vec![]);
    }
    assert_eq!(town.alarms, vec![]);
}

#[test]
fn a_killed_process_comes_back_after_one_lease_and_one_that_said_goodbye_at_once() {
    let mut town = Town::new(5, 3, 2);
    town.run(20_000);
    town.bodies[2].alive = false;
    let disk = town.bodies[2].disk.clone();
    town.run(1_000);
    let again = town.boot(party(2), disk);
    town.run(5_000);
    assert!(!town.bodies[again].lease.may_act(town.now), "its former process may still be alive");
    town.run(8_000);
    assert!(town.bodies[again].lease.may_act(town.now));

    let acts = town.bodies[again].lease.leave();
    town.perform(again, acts, None);
    town.bodies[again].alive = false;
    let disk = town.bodies[again].disk.clone();
    town.run(200);
    let third = town.boot(party(2), disk);
    town.run(1_000);
    assert!(town.bodies[third].lease.may_act(town.now));
    assert_eq!(town.alarms, vec![], "an ordinary restart alarms nobody");
}

#[test]
fn a_copied_disk_beside_its_original_is_refused_and_everybody_alarms() {
    let mut town = Town::new(3, 2, 3);
    town.run(20_000);
    let disk = town.bodies[0].disk.clone();
    let copy = town.boot(party(0), disk);
    for _ in 0..60 {
        town.run(1_000);
        town.only_one_acts();
    }
    assert_eq!(town.acting(party(0)), vec![0], "the original goes on");
    assert!(!town.bodies[copy].lease.may_act(town.now));
    let alarmed: BTreeSet<PartyIndex> = town.alarms.iter().map(|(number, _)| town.bodies[*number].party).collect();
    assert_eq!(alarmed.len(), 3, "{:?}", town.alarms);
    assert_eq!(town.alarmed("a copy of this disk has been started"), [0], "the original is told by whoever hears both");
}

/// The copy is older than what the original said since, and the one peer that heard it is out of reach.
#[test]
fn a_copied_disk_does_not_act_beside_its_original_though_the_peer_that_knew_more_is_unreachable() {
    let (original, knows, others) = (0, party(1), [2, 3, 4]);
    let mut town = Town::new(5, 3, 12);
    for number in 0..5 {
        town.bodies[number].lease.see(CHAIN, 100, [1; 32]);
    }
    town.run(20_000);
    let disk = town.bodies[original].disk.clone();
    // What the original says next one peer hears, which is then out of everybody's reach.
    town.write(original);
    let heard = town.heard_of(original);
    town.bodies[1].lease.saw(&heard);
    town.bodies[1].reach.clear();
    let copy = town.boot(party(0), disk);
    let stays_out = |town: &Town| {
        let lease = &town.bodies[copy].lease;
        !lease.may_act(town.now) || lease.keeps_out(CHAIN, 100)
    };
    for _ in 0..60 {
        town.run(1_000);
        town.only_one_acts();
        assert!(!town.bodies[copy].lease.may_act(town.now), "the newcomer is refused while the other lives");
    }
    assert_eq!(town.acting(party(0)), [original], "the original goes on");
    let alarmed: BTreeSet<usize> = town.alarms.iter().map(|(number, _)| *number).collect();
    assert!(alarmed.contains(&original) && alarmed.is_superset(&BTreeSet::from(others)), "{:?}", town.alarms);

    // Its original dead, it has no part in what the unreachable peer may remember; and when that one speaks, it refuses it.
    town.bodies[original].alive = false;
    town.run(LEASE_MS + 8_000);
    assert!(stays_out(&town));
    town.bodies[1].reach = (0..5).map(party).filter(|peer| *peer != knows).collect();
    town.run(LEASE_MS + 8_000);
    assert!(stays_out(&town));
    let refused = [Refusal::RolledBack, Refusal::Forked].map(|why| town.is_refused(copy, knows, why));
    assert!(refused.contains(&true), "{:?}", town.bodies[copy].lease.restraints(town.now));
}

#[test]
fn sequences_that_a_silent_peer_may_have_seen_used_are_old_until_it_is_heard_or_vouched_for() {
    let mut town = Town::new(5, 3, 13);
    for number in 0..5 {
        town.bodies[number].lease.see(CHAIN, 100, [1; 32]);
    }
    town.bodies[3].sequences.insert(CHAIN.to_owned(), 41);
    town.run(10_000);
    for number in [3, 4] {
        town.bodies[number].alive = false;
    }
    town.run(LEASE_MS + 1_000);
    let disk = town.bodies[3].disk.clone();
    let back = town.boot(party(3), disk);
    town.bodies[back].lease.see(CHAIN, 100, [1; 32]);
    town.run(LEASE_MS + 1_000);
    let lease = &town.bodies[back].lease;
    assert!(lease.may_act(town.now));
    assert_eq!(lease.keeps_out_of_sequences(CHAIN), 41, "its peers remember how far it was");
    assert_eq!(lease.keeps_out_of_sequences("another chain"), 0);
    let now = town.now;
    assert!(town.bodies[back].lease.vouch(party(4), now).is_some());
    assert_eq!(town.bodies[back].lease.keeps_out_of_sequences(CHAIN), 0, "nobody is left who could remember more");
}

#[test]
fn of_two_copies_with_one_live_memory_neither_goes_on() {
    let mut town = Town::new(5, 3, 4);
    town.run(20_000);
    let copy = town.copy_memory(1);
    town.run(LEASE_MS + 8_000);
    assert_eq!(town.acting(party(1)), Vec::<usize>::new(), "both are fenced");
    let peers = [0, 2, 3, 4];
    let fenced = |town: &Town, number| peers.iter().any(|peer| town.is_refused(number, party(*peer), Refusal::Fenced));
    assert!(fenced(&town, 1) && fenced(&town, copy), "both are told");
    let alarmed: BTreeSet<usize> = town.alarms.iter().map(|(number, _)| *number).collect();
    assert_eq!(alarmed, (0..5).chain([copy]).collect(), "both copies and every peer alarm: {:?}", town.alarms);

    // A peer that is started anew has not forgotten it: that was written before it was said.
    town.bodies[2].alive = false;
    let disk = town.bodies[2].disk.clone();
    let again = town.boot(party(2), disk);
    assert!(town.bodies[again].lease.fenced().contains(&party(1)), "its disk remembers");
    town.run(LEASE_MS + 8_000);
    assert!(town.is_refused(1, party(2), Refusal::Fenced) && town.is_refused(copy, party(2), Refusal::Fenced));
    assert_eq!(town.acting(party(1)), Vec::<usize>::new());

    // One of the two is ended, and an operator at each peer decides that the other is to live.
    town.bodies[copy].alive = false;
    for number in [0, again, 3, 4] {
        assert!(town.bodies[number].lease.unfence(party(1)));
    }
    town.run(8_000);
    assert_eq!(town.acting(party(1)), vec![1]);
}

#[test]
fn a_rolled_back_disk_is_refused_by_whoever_remembers_more() {
    let mut town = Town::new(5, 3, 5);
    town.run(5_000);
    let old = town.bodies[3].disk.clone();
    for _ in 0..5 {
        town.state(3);
    }
    town.run(5_000);
    town.bodies[3].alive = false;
    town.run(LEASE_MS + 1_000);
    let back = town.boot(party(3), Disk { boot: town.bodies[3].disk.boot, ..old.clone() });
    town.run(10_000);
    assert!(!town.bodies[back].lease.may_act(town.now));
    assert_eq!(town.alarmed("rolled back").len(), 8, "both sides of four refusals: {:?}", town.alarms);
    town.bodies[back].alive = false;

    // It has gone on by itself: longer than what peers remember, but not the same.
    let mut forked = Disk { boot: 10, ..old };
    for _ in 0..20 {
        forked.journal.push(town.rng.r#gen());
    }
    town.run(LEASE_MS + 1_000);
    let back = town.boot(party(3), forked);
    town.run(10_000);
    assert!(!town.bodies[back].lease.may_act(town.now));
    assert!(
        town.bodies[back]
            .lease
            .restraints(town.now)
            .iter()
            .any(|why| { matches!(why, Restraint::Refused { reason: Refusal::Forked, .. }) })
    );
}

#[test]
fn what_is_old_waits_for_every_peer_or_for_a_vouch() {
    let mut town = Town::new(5, 3, 6);
    for number in 0..5 {
        town.bodies[number].lease.see(CHAIN, 100, [1; 32]);
    }
    town.run(5_000);
    town.bodies[1].alive = false;
    town.bodies[4].alive = false;
    town.run(LEASE_MS + 1_000);
    town.bodies[0].lease.see(CHAIN, 120, [2; 32]);
    let disk = town.bodies[1].disk.clone();
    let back = town.boot(party(1), disk);
    town.run(LEASE_MS + 1_000);
    let lease = &town.bodies[back].lease;
    assert!(lease.may_act(town.now), "three of four peers know it");
    assert!(lease.keeps_out(CHAIN, 120), "a peer had seen so much before the first lease");
    assert!(!lease.keeps_out(CHAIN, 121));
    assert_eq!(lease.restraints(town.now), vec![Restraint::KeepsOut { unheard: vec![party(4)] }]);

    let now = town.now;
    assert!(town.bodies[back].lease.vouch(party(0), now).is_none(), "nobody vouches that a living peer is dead");
    assert!(town.bodies[back].lease.vouch(party(4), now).is_some());
    assert!(!town.bodies[back].lease.keeps_out(CHAIN, 120));
}

#[test]
fn nobody_is_vouched_dead_by_a_process_that_has_listened_for_less_than_a_lease() {
    let mut town = Town::new(3, 2, 14);
    town.run(5_000);
    town.bodies[1].alive = false;
    let disk = town.bodies[1].disk.clone();
    let back = town.boot(party(1), disk);
    let new = town.boot(party(1), Disk::default());
    let now = town.now;
    for number in [back, new] {
        // Also with a disk that remembers nobody.
        assert!(town.bodies[number].lease.vouch(party(0), now).is_none(), "it lives, and had no time to say so");
    }
    town.bodies[new].alive = false;
    town.bodies[2].alive = false;
    town.run(LEASE_MS + 1_000);
    let now = town.now;
    assert!(town.bodies[back].lease.vouch(party(0), now).is_none(), "it has been heard since");
    assert!(town.bodies[back].lease.vouch(party(2), now).is_some());
}

#[test]
fn an_odd_roster_at_its_last_spare_waits_for_one_more_peer_or_a_vouch() {
    let mut town = Town::new(3, 2, 7);
    town.run(5_000);
    town.bodies[1].alive = false;
    town.bodies[2].alive = false;
    town.run(LEASE_MS + 1_000);
    let disk = town.bodies[1].disk.clone();
    let back = town.boot(party(1), disk);
    town.run(LEASE_MS + 1_000);
    let now = town.now;
    assert!(!town.bodies[back].lease.may_act(now));
    assert_eq!(town.bodies[back].lease.restraints(now), vec![Restraint::Unknown { unheard: vec![party(2)] }]);
    assert!(!town.bodies[0].lease.is_mutual(party(1), now), "who may not act is no help");
    assert!(town.bodies[back].lease.is_mutual(party(0), now));
    assert!(town.bodies[back].lease.vouch(party(2), now).is_some());
    assert!(town.bodies[back].lease.may_act(now));
    town.run(500);
    assert!(town.bodies[0].lease.is_mutual(party(1), town.now), "and is told of at once");
}

#[test]
fn who_sees_another_block_than_a_quorum_of_peers_is_blind_until_it_sees_theirs() {
    let mut town = Town::new(5, 3, 8);
    for number in 0..5 {
        town.bodies[number].lease.see(CHAIN, 7, if number == 2 { [9; 32] } else { [1; 32] });
    }
    town.run(10_000);
    assert!(town.bodies[2].lease.is_blind(CHAIN));
    assert_eq!(town.alarmed("shows another block 7 than a quorum"), [2], "its operator is told, once");
    assert!((0..5).filter(|number| town.bodies[*number].lease.is_blind(CHAIN)).count() == 1);
    for number in 0..5 {
        town.bodies[number].lease.see(CHAIN, 8, [2; 32]);
    }
    town.run(10_000);
    assert!(!town.bodies[2].lease.is_blind(CHAIN));
}

#[test]
fn what_the_own_endpoint_showed_before_the_first_lease_is_old_too() {
    let mut town = Town::new(5, 3, 9);
    town.run(5_000);
    town.bodies[1].alive = false;
    town.bodies[4].alive = false;
    town.run(LEASE_MS + 1_000);
    let disk = town.bodies[1].disk.clone();
    let back = town.boot(party(1), disk);
    town.bodies[back].lease.see(CHAIN, 50, [1; 32]);
    town.run(5_000);
    town.bodies[back].lease.see(CHAIN, 60, [1; 32]);
    let lease = &town.bodies[back].lease;
    assert!(lease.may_act(town.now));
    assert!(lease.keeps_out(CHAIN, 50));
    assert!(!lease.keeps_out(CHAIN, 51));
}

#[test]
fn a_vouch_ends_when_the_peer_speaks_and_a_peer_that_refuses_is_waited_for() {
    let mut town = Town::new(5, 3, 10);
    town.bodies[0].lease.see(CHAIN, 100, [1; 32]);
    town.run(5_000);
    let old = town.bodies[3].disk.clone();
    let boot = old.boot;
    // Only party 0 hears what it does from here on.
    for peer in [1, 2, 4] {
        town.bodies[3].reach.remove(&party(peer));
    }
    town.state(3);
    town.bodies[3].alive = false;
    town.bodies[0].alive = false;
    town.run(LEASE_MS + 1_000);
    let back = town.boot(party(3), Disk { boot, ..old });
    town.bodies[back].lease.see(CHAIN, 100, [1; 32]);
    town.run(LEASE_MS + 1_000);
    let now = town.now;
    assert!(town.bodies[back].lease.may_act(now) && town.bodies[back].lease.keeps_out(CHAIN, 100));
    assert!(town.bodies[back].lease.vouch(party(0), now).is_some());
    assert!(!town.bodies[back].lease.keeps_out(CHAIN, 100), "an operator said so");
    // It was not dead.
    town.bodies[0].alive = true;
    town.run(5_000);
    assert!(town.bodies[back].lease.keeps_out(CHAIN, 100), "the peer that remembers more speaks");
}

#[test]
fn a_peer_that_names_ever_new_chains_fills_no_memory() {
    let mut town = Town::new(2, 2, 11);
    for chain in 0..100 {
        town.bodies[0].lease.see(&format!("chain-{chain}"), 1, [1; 32]);
    }
    town.run(60_000);
    let remembered = town.bodies[1].disk.remembered.peers[&party(0)].sequences.len();
    assert!(remembered <= CHAINS_MAX, "{remembered} chains are remembered");
    let heard = Heard { from: party(0), instance: 1, journal: Held::default(), is_consented: false };
    let mut grants = Grants::new(7, BTreeMap::new(), 0);
    let mut token = match grants.hello(&heard, &Hello { nonce: 1, ..Hello::default() }, 0) {
        Ok(Said::Granted { token, .. }) => token,
        other => panic!("{other:?}"),
    };
    for round in 0..100 {
        let sight = Sight { chain: format!("chain-{round}"), height: 1, hash: [0; 32], sequence: 1 };
        token = match grants.renew(&heard, token, round, (&[sight], true), 0) {
            Ok(Said::Word(LeaseWord::Renewed { token, .. })) => token,
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(grants.memory()[&party(0)].sequences.len(), CHAINS_MAX);
}

/// One party's disks are copied, set back and started again at will, while every process is killed and started again from
/// its own newest disk, links break and words are lost. (Were the disks of several parties copied at once, copies of peers
/// could know copies of the party: granting needs no lease.)
#[test]
fn no_two_processes_of_one_party_ever_act_together() {
    let mut acted = 0;
    for seed in 0..150 {
        let (of, quorum) = [(3, 2), (5, 3), (4, 3), (8, 5)][seed as usize % 4];
        let mut town = Town::new(of, quorum, seed);
        town.loss = if seed % 3 == 0 { 0.2 } else { 0.0 };
        town.delay_ms = [50, 400, 2_500][seed as usize % 3];
        let copied = party(0);
        let mut disks: Vec<Disk> = Vec::new();
        for _ in 0..120 {
            let number = town.rng.gen_range(0..town.bodies.len());
            let me = town.bodies[number].party;
            let living =
                |town: &Town, of: PartyIndex| town.bodies.iter().filter(|body| body.alive && body.party == of).count();
            match town.rng.gen_range(0..10) {
                0 if me == copied => disks.push(town.bodies[number].disk.clone()),
                1 | 2 if !disks.is_empty() && living(&town, copied) < 4 => {
                    let disk = disks[town.rng.gen_range(0..disks.len())].clone();
                    town.boot(copied, disk);
                }
                3 => town.bodies[number].alive = false,
                4 | 5 => {
                    // The newest disk of a party that is down; of the copied one, any.
                    let newest = town.bodies.iter().rev().find(|body| body.party == me).map(|body| body.disk.clone());
                    if let Some(disk) = newest.filter(|_| living(&town, me) == 0) {
                        town.boot(me, disk);
                    }
                }
                6 => {
                    let peer = party(town.rng.gen_range(0..of));
                    town.bodies[number].reach.remove(&peer);
                }
                7 => town.bodies[number].reach = (0..of).map(party).filter(|peer| *peer != me).collect(),
                _ => town.state(number),
            }
            for _ in 0..town.rng.gen_range(1..40) {
                town.run(50);
                town.only_one_acts();
            }
            acted += usize::from(town.acting(copied).first().is_some_and(|first| *first >= usize::from(of)));
        }
    }
    assert!(acted > 500, "a copy that was started later acted in only {acted} moments: nothing was tested");
}
