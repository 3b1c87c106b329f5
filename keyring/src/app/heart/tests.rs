use mpc_core::Suite;
use transport::memory::{Hub, MemoryTransport};
use transport::{Incoming, Limits, PeerId, Transport as _};
use zeroize::Zeroizing;

use super::super::build::os_randomness;
use super::super::post::Directory;
use super::*;
use crate::clock::ManualClock;
use crate::committee::Committee;
use crate::driver::Bounds;
use crate::lease::{LeaseWord, Life, Process};
use crate::message::decode_frame;
use crate::metrics::Metrics;
use crate::node::Setup;
use crate::roster::{Roster, RosterEntry, RosterFile};
use crate::store::MemoryStore;

const SLOW_WRITE_MS: Millis = 15_000;

fn identity(place: u16) -> NodeIdentity {
    NodeIdentity::from_seed(&Zeroizing::new([place as u8 + 1; 32]))
}

fn roster() -> Roster {
    let entry = |place: u16| RosterEntry {
        name: format!("party-{place}"),
        node_key: identity(place).public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 4000 + place)],
        accounts: BTreeMap::from([("chain".to_owned(), format!("account-{place}"))]),
    };
    let mut file = RosterFile::new(1, 2, (0..3).map(entry));
    (0..3).for_each(|place| file.sign(&identity(place)).unwrap());
    file.verify().unwrap()
}

/// The first of three parties, on a clock that is moved by hand, and two peers that speak nothing but lease.
struct Scene {
    heart: Heart,
    clock: Arc<ManualClock>,
    hub: Hub,
    peers: Vec<MemoryTransport>,
    /// Statements of the party that reached a peer and are no words of the lease.
    acts: usize,
    words: u64,
}

impl Scene {
    fn new() -> Self {
        let (roster, mut hub) = (roster(), Hub::new(1, Limits::default()));
        let book = roster.book().unwrap();
        let mut seats: Vec<_> = (0..3).map(|place| hub.join(PeerId::from(identity(place).public()), &book)).collect();
        let own = seats.remove(0);
        let me = PartyIndex::new(0);
        let (store, metrics) = (Arc::new(MemoryStore::new(1)), Arc::new(Metrics::new(&[])));
        let setup = Setup {
            me,
            process: Process { life: Life { incarnation: 0, boot: 1 }, instance: 100 },
            committee: Arc::new(Committee::of(&roster).unwrap()),
            keys_per_lane: BTreeMap::from([(Suite::Ed25519, 1)]),
            slots: 1,
            live_max: 1,
            chains: Vec::new(),
            contracts: Vec::new(),
            destinations: BTreeMap::new(),
        };
        let node = Node::recover(setup, store.clone(), 0).unwrap();
        let bounds = Bounds { runs_max: 4, permits: 1, messages_per_party: 8, bytes_per_party: 1 << 20 };
        let clock = Arc::new(ManualClock::at(0));
        let heart = Heart {
            observer: Observer::new(metrics, &node),
            node,
            store: store.clone(),
            data_dir: PathBuf::new(),
            identity: Arc::new(identity(0)),
            epoch: 1,
            instance: 100,
            post: Post::new(own.sender(), Directory::of(&roster, me)),
            driver: Driver::new(bounds).0,
            workshop: Arc::new(Workshop {
                me,
                threshold: roster.threshold(),
                store,
                engine: Arc::new(mpc_core::Transparent),
                primes: Box::new(|| None),
            }),
            chains: BTreeMap::new(),
            contracts: BTreeMap::new(),
            destinations: mpsc::channel(1).0,
            clock: clock.clone(),
            rng: Box::new(os_randomness()),
            own: VecDeque::new(),
        };
        Self { heart, clock, hub, peers: seats, acts: 0, words: 0 }
    }

    /// The node hears something; its write lasts so long.
    fn hear(&mut self, event: Event, write_ms: Millis) {
        self.heart.hear(self.clock.monotonic_ms(), event);
        self.clock.advance_ms(write_ms);
        self.heart.beat().unwrap();
        self.settle();
    }

    /// Everything on its way arrives, and what the party said to itself, until nothing is.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.heart.own.pop_front() {
                self.heart.hear(self.clock.monotonic_ms(), event);
                self.heart.beat().unwrap();
            }
            while self.hub.step() {}
            let answers: Vec<Packet> = (1..3).flat_map(|place| self.answers(place)).collect();
            if answers.is_empty() {
                return;
            }
            for packet in answers {
                self.heart.own.push_back(Event::Packet(Box::new(packet)));
            }
        }
    }

    /// A peer grants whatever it is asked, and asks for the same when it is asked to know the party.
    fn answers(&mut self, place: u16) -> Vec<Packet> {
        let mut words = Vec::new();
        while let Some(incoming) = self.peers[usize::from(place) - 1].try_next() {
            let Incoming::Frame { body, .. } = incoming else { continue };
            for packet in decode_frame(&body).unwrap_or_default() {
                let Content::Lease(_, word) = packet.envelope.content else {
                    self.acts += 1;
                    continue;
                };
                self.words += 1;
                let token = self.words;
                match word {
                    LeaseWord::Hello { nonce, .. } => {
                        words.push(LeaseWord::Granted { nonce, token, known: Vec::new() });
                        let life = Life { incarnation: 0, boot: 1 };
                        words.push(LeaseWord::Hello { life, nonce: 1, held: None, restore: 0 });
                    }
                    LeaseWord::Renew { nonce, .. } => {
                        words.push(LeaseWord::Renewed { nonce, token, is_doubled: false });
                        let life = Life { incarnation: 0, boot: 1 };
                        words.push(LeaseWord::Hello { life, nonce: 1, held: None, restore: 0 });
                    }
                    LeaseWord::Granted { token, .. } => {
                        words.push(LeaseWord::Renew { token, nonce: 2, sights: Vec::new(), acts: true });
                    }
                    _ => {}
                }
            }
        }
        let (from, instance) = (PartyIndex::new(place), 100 + u64::from(place));
        let sign = |word| {
            let content = Content::Lease(PartyIndex::new(0), word);
            let envelope = Envelope::sign(&identity(place), 1, (from, instance), content, 0, [0; 32]);
            Packet { envelope, attachment: Attachment::default() }
        };
        words.into_iter().map(sign).collect()
    }
}

#[test]
fn what_was_decided_under_a_lease_that_ran_out_in_the_write_is_not_said_until_it_is_back() {
    let mut scene = Scene::new();
    scene.hear(Event::LinkUp(PartyIndex::new(1), 1), 0);
    // With the second peer everybody is there, and the party begins a key: a number is written, then said.
    scene.hear(Event::LinkUp(PartyIndex::new(2), 1), 0);
    assert!(scene.heart.node.may_act());
    let before = scene.acts;
    scene.clock.advance_ms(2_500);
    scene.heart.hear(scene.clock.monotonic_ms(), Event::Tick);
    scene.clock.advance_ms(SLOW_WRITE_MS);
    scene.heart.beat().unwrap();
    assert!(matches!(scene.heart.own.front(), Some(Event::Tick)), "it looks at its lease first of all");
    scene.settle();
    assert_eq!(scene.acts, before, "its peers may know another process by now");
    for _ in 0..20 {
        scene.clock.advance_ms(500);
        scene.hear(Event::Tick, 0);
    }
    assert!(scene.heart.node.may_act());
    assert!(scene.acts > before, "it begins anew");
}

#[test]
fn a_run_that_was_decided_before_the_lease_ran_out_is_over_before_it_began() {
    let mut scene = Scene::new();
    let (session, run) = (mpc_core::SessionId::new([1; 32]), crate::node::RunOrder::Key(Suite::Ed25519));
    let priority = crate::node::Priority::Key(0);
    let head = scene.heart.store.head();
    scene.heart.withhold(head, vec![Order::Start { session, run, priority }]);
    assert!(matches!(scene.heart.own.pop_front(), Some(Event::Tick)));
    let next = scene.heart.own.pop_front();
    assert!(matches!(next, Some(Event::Run(of, RunNews::Failed { .. })) if of == session));
    assert_eq!(scene.heart.driver.live(), 0);
}

#[test]
fn without_the_lease_only_its_own_words_leave() {
    let orders = || {
        let say = |content| Order::Say { to: Audience::All, content, attachment: Box::default() };
        let lease = say(Content::Lease(PartyIndex::new(1), LeaseWord::Goodbye));
        let stock = say(Content::Stock(crate::stock::StockWord::BeginAuxiliary { counter: 1 }));
        let note = Order::Note(Note { level: Level::Info, decree: None, text: String::new() });
        vec![stock, lease, note]
    };
    let (carried, withheld) = split(orders(), false);
    assert!(matches!(&withheld[..], [Order::Say { content: Content::Stock(_), .. }]));
    assert!(matches!(&carried[..], [Order::Say { content: Content::Lease(..), .. }, Order::Note(_)]));
    assert_eq!(split(orders(), true).0.len(), 3);
}
