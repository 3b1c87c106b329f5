//! What a seed means: how many parties, which weather, which faults when, what users ask for. Drawn before anything runs,
//! so that a failure shows its whole cause.

use std::collections::BTreeSet;

use chain_client::KeyType;
use mpc_core::PartyIndex;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::liar::Lie;
use crate::network::Weather;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies now and starts again after so many milliseconds.
    Crash(PartyIndex, u64),
    /// It dies at its durable write number `ahead` from now, before or after it reaches the disk.
    CrashAtWrite {
        /// Who.
        party: PartyIndex,
        /// Which write, from 1.
        ahead: u64,
        /// Whether the write is lost.
        before: bool,
        /// Until it starts again.
        down_ms: u64,
    },
    /// It dies after so many frames.
    CrashAfterFrames {
        /// Who.
        party: PartyIndex,
        /// Frames that it still sends.
        frames: u64,
        /// Until it starts again.
        down_ms: u64,
    },
    /// A copy of its disk is put aside.
    CopyDisk(PartyIndex),
    /// The process dies, its disk becomes the copy that was put aside, and it starts again after so many milliseconds.
    SetBack(PartyIndex, u64),
    /// A backup is written.
    BackUp(PartyIndex),
    /// The process dies, its disk is lost, a new one is made from the backup, and it starts again after so many
    /// milliseconds.
    Restore(PartyIndex, u64),
    /// The first party's operator consents to whatever restore of the second asks for it.
    Consent(PartyIndex, PartyIndex),
    /// These and the others cannot reach each other.
    Partition(BTreeSet<PartyIndex>),
    /// All links stand again.
    Mend,
    /// The link of two parties breaks until all links stand again.
    Sever(PartyIndex, PartyIndex),
    /// The link of two parties breaks and comes back at once: what is in flight is lost.
    Flap(PartyIndex, PartyIndex),
    /// No blocks.
    Halt,
    /// Blocks again.
    Resume,
    /// The chain's node forgets the transactions that wait.
    ForgetMempool,
    /// Everything that the party computes takes so many times longer.
    Slow(PartyIndex, u64),
    /// The party's second endpoint, to which reads sometimes go, is so many blocks behind.
    Lag(PartyIndex, u64),
    /// The party's second endpoint lies about the account's sequence, or ceases to.
    Lie(PartyIndex, Option<EndpointLie>),
    /// What the party is shown of the chain is another branch: the same requests in other blocks; or it is the chain again.
    Fork(PartyIndex, bool),
    /// Frames behave like this from now on.
    Weather(Weather),
    /// Reads and broadcasts fail like this from now on.
    Endpoints(Endpoints),
}

/// What an endpoint lies about an account's sequence, beside a request that it shows as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointLie {
    /// So much too high: what is in flight seems spent.
    Ahead(u64),
    /// So much too low: what has landed seems unspent.
    Behind(u64),
}

impl PartialEq for Weather {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Eq for Weather {}

/// How the chain's endpoints fail. Chances are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// A read gets no answer.
    pub read_lost: u32,
    /// A broadcast does not arrive.
    pub broadcast_lost: u32,
    /// A broadcast arrives, its answer does not.
    pub answer_lost: u32,
    /// A broadcast is held up for up to five seconds.
    pub broadcast_late: u32,
}

/// Something that a user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A key.
    Key(KeyType),
    /// A signature by the key of this type that has been there longest.
    Sign(KeyType),
    /// A signature by the newest key of this type.
    SignNewest(KeyType),
    /// Two signatures in one request.
    Pair(KeyType),
}

/// A known break of the protocol, switched on.
#[cfg(feature = "planted")]
pub use keyring::planted::Plant;

/// A break of the shell, switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellPlant {
    /// Orders are carried out before the write that they rest on.
    SpeakBeforeWrite,
    /// A partial signature leaves before the write that burns its nonce; everything else waits for its write.
    BurnAfterSend,
    /// Account and request are read at different heights and put together as if they were of one.
    MixedHeights,
}

/// Everything about one run of the simulation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it was drawn from; also the seed of everything that happens by chance while it runs.
    pub seed: u64,
    /// `t`.
    pub need: u16,
    /// `n`.
    pub of: u16,
    /// Whether the disks are empty at first; otherwise shelf and auxiliary data are there, and a key of each type.
    pub from_scratch: bool,
    /// Free keys per lane and curve.
    pub keys_per_lane: usize,
    /// Runs that a party computes at a time.
    pub slots: usize,
    /// Open requests that a party works on at a time.
    pub live_max: usize,
    /// Shortest and longest computation of one round.
    pub compute_ms: (u64, u64),
    /// Milliseconds between blocks.
    pub block_ms: u64,
    /// The weather at first, and again after healing.
    pub weather: Weather,
    /// Faults by time.
    pub faults: Vec<(u64, Fault)>,
    /// Wishes by time.
    pub wishes: Vec<(u64, Wish)>,
    /// From then on nothing goes wrong any more.
    pub heals_at: u64,
    /// Parties that lie, and how.
    pub liars: Vec<(PartyIndex, Lie)>,
    /// Whether users may ask what can never be answered; otherwise every request must be.
    pub unanswerable: bool,
    /// Parties that never start.
    pub absent: BTreeSet<PartyIndex>,
    /// A known break of the core.
    #[cfg(feature = "planted")]
    pub plant: Option<Plant>,
    /// A known break of the shell.
    pub shell_plant: Option<ShellPlant>,
}

impl Plan {
    /// A quiet world of `t` of `n`: nothing goes wrong and nobody wants anything yet.
    #[must_use]
    pub fn calm(seed: u64, need: u16, of: u16) -> Self {
        Self {
            seed,
            need,
            of,
            from_scratch: false,
            keys_per_lane: 1,
            slots: 1,
            live_max: 256,
            compute_ms: (1, 20),
            block_ms: 1_000,
            weather: Weather::CALM,
            faults: Vec::new(),
            wishes: Vec::new(),
            heals_at: 0,
            liars: Vec::new(),
            unanswerable: false,
            absent: BTreeSet::new(),
            #[cfg(feature = "planted")]
            plant: None,
            shell_plant: None,
        }
    }

    /// With one more wish.
    #[must_use]
    pub fn wish(mut self, at_ms: u64, wish: Wish) -> Self {
        self.wishes.push((at_ms, wish));
        self
    }

    /// With one more fault.
    #[must_use]
    pub fn fault(mut self, at_ms: u64, fault: Fault) -> Self {
        self.heals_at = self.heals_at.max(at_ms + 1);
        self.faults.push((at_ms, fault));
        self
    }

    /// With faults until this time.
    #[must_use]
    pub const fn healing_at(mut self, at_ms: u64) -> Self {
        self.heals_at = at_ms;
        self
    }

    /// Draws a world from a seed.
    #[must_use]
    pub fn drawn(seed: u64, size: Option<(u16, u16)>) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let sizes = [(2, 3), (2, 3), (2, 3), (3, 5), (3, 5), (2, 5), (3, 4), (2, 2)];
        let drawn = sizes[rng.gen_range(0..sizes.len())];
        let (need, of) = size.unwrap_or(if seed % 50 == 49 { (5, 8) } else { drawn });
        let mut plan = Self::calm(seed, need, of);
        let from_scratch = of <= 3 && rng.gen_ratio(1, 16);
        plan.slots = rng.gen_range(1..=2);
        plan.compute_ms = if rng.gen_ratio(1, 4) { (50, 900) } else { (1, 40) };
        plan.block_ms = *[500, 1_000, 2_500].choose(&mut rng).unwrap_or(&1_000);
        plan.weather = if rng.gen_ratio(1, 3) {
            Weather { latency_ms_min: 20, latency_ms_max: 200, ..Weather::CALM }
        } else {
            Weather::CALM
        };
        plan.heals_at = rng.gen_range(8_000..30_000);
        plan.draw_wishes(&mut rng);
        if from_scratch {
            plan.begin_from_scratch();
        }
        plan.draw_liars(&mut rng);
        plan.draw_faults(&mut rng);
        if rng.gen_ratio(1, 4) {
            // Requests wait in the chain's own list.
            plan.live_max = 2;
        }
        plan
    }

    fn draw_wishes(&mut self, rng: &mut ChaCha20Rng) {
        let start = 500;
        for _ in 0..rng.gen_range(2..=4) {
            let key_type = KeyType::ALL[rng.gen_range(0..KeyType::ALL.len())];
            let wish = match rng.gen_range(0..10) {
                0..=2 => Wish::Key(key_type),
                3..=7 => Wish::Sign(key_type),
                8 => Wish::SignNewest(key_type),
                _ => Wish::Pair(key_type),
            };
            // Often together: requests of one block contend for everything.
            let at = if rng.gen_bool(0.5) { start } else { rng.gen_range(start..self.heals_at) };
            self.wishes.push((at, wish));
        }
    }

    /// Empty disks: there is no key to sign with, so users ask for keys.
    fn begin_from_scratch(&mut self) {
        self.from_scratch = true;
        for (at, wish) in &mut self.wishes {
            *at = (*at).max(2_500);
            if let Wish::Sign(key_type) | Wish::SignNewest(key_type) | Wish::Pair(key_type) = wish {
                *wish = Wish::Key(*key_type);
            }
        }
    }

    fn draw_liars(&mut self, rng: &mut ChaCha20Rng) {
        let quorum = self.need.max(self.of / 2 + 1);
        let tolerated = (2 * quorum).saturating_sub(self.of + 1);
        if tolerated > 0 && self.of > 2 && rng.gen_ratio(2, 3) {
            let liar = PartyIndex::new(rng.gen_range(0..self.of));
            let lie = Lie::DRAWN[rng.gen_range(0..Lie::DRAWN.len())];
            if lie == Lie::WrongProofs && self.of <= 4 {
                self.begin_from_scratch();
            }
            self.liars.push((liar, lie));
        }
    }

    fn draw_faults(&mut self, rng: &mut ChaCha20Rng) {
        if rng.gen_ratio(3, 4) {
            let stormy = Weather {
                slow: *[0, 30, 150].choose(rng).unwrap_or(&0),
                twice: *[0, 50, 200].choose(rng).unwrap_or(&0),
                lost: *[0, 10, 60].choose(rng).unwrap_or(&0),
                ..self.weather
            };
            self.faults.push((0, Fault::Weather(stormy)));
        }
        if rng.gen_ratio(1, 2) {
            let endpoints = Endpoints {
                read_lost: rng.gen_range(0..200),
                broadcast_lost: rng.gen_range(0..300),
                answer_lost: rng.gen_range(0..400),
                broadcast_late: rng.gen_range(0..300),
            };
            self.faults.push((0, Fault::Endpoints(endpoints)));
        }
        match rng.gen_range(0..3) {
            0 => self.draw_schism(rng),
            1 => self.draw_deaths(rng),
            _ => self.draw_mixture(rng),
        }
        if self.from_scratch {
            self.lose_nothing_silently();
        }
        self.faults.retain(|(at, _)| *at < self.heals_at);
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// A key generation that lost a frame on a standing link is given up only after minutes, which requests of two minutes
    /// do not survive. Links that break are noticed at once.
    fn lose_nothing_silently(&mut self) {
        for (_, fault) in &mut self.faults {
            if let Fault::Weather(weather) = fault {
                weather.lost = 0;
            }
        }
    }

    /// Sides that change every few seconds while frames crawl: ballots overlap.
    fn draw_schism(&mut self, rng: &mut ChaCha20Rng) {
        let longest = *[300, 900, 2_000].choose(rng).unwrap_or(&900);
        let slow = Weather { latency_ms_min: 10, latency_ms_max: longest, slow: 50, twice: 50, lost: 0 };
        self.faults.push((1, Fault::Weather(slow)));
        let mut at = rng.gen_range(800..3_000);
        while at < self.heals_at {
            let side = (0..self.of).filter(|_| rng.gen_bool(0.5)).map(PartyIndex::new).collect();
            self.faults.push((at, Fault::Partition(side)));
            at += rng.gen_range(300..6_000);
            if rng.gen_ratio(1, 3) {
                self.faults.push((at, Fault::Mend));
                at += rng.gen_range(300..3_000);
            }
        }
    }

    /// One death after the other, at writes and between frames.
    fn draw_deaths(&mut self, rng: &mut ChaCha20Rng) {
        let mut at = rng.gen_range(300..2_000);
        while at < self.heals_at {
            let party = self.somebody(rng);
            let down_ms = rng.gen_range(20..3_000);
            let fault = match rng.gen_range(0..5) {
                0 => Fault::Crash(party, down_ms),
                1 | 2 => Fault::CrashAtWrite { party, ahead: rng.gen_range(1..8), before: rng.gen_bool(0.5), down_ms },
                _ => Fault::CrashAfterFrames { party, frames: rng.gen_range(0..12), down_ms },
            };
            self.faults.push((at, fault));
            at += rng.gen_range(100..4_000);
        }
    }

    /// Some of everything.
    fn draw_mixture(&mut self, rng: &mut ChaCha20Rng) {
        for _ in 0..rng.gen_range(0..=6) {
            let at = rng.gen_range(300..self.heals_at);
            let party = self.somebody(rng);
            let down_ms = rng.gen_range(50..6_000);
            let fault = match rng.gen_range(0..16) {
                0 => Fault::Crash(party, down_ms),
                1..=3 => Fault::CrashAtWrite { party, ahead: rng.gen_range(1..25), before: rng.gen_bool(0.5), down_ms },
                4..=5 => Fault::CrashAfterFrames { party, frames: rng.gen_range(0..40), down_ms },
                6..=8 => {
                    let side = (0..self.of).filter(|_| rng.gen_bool(0.5)).map(PartyIndex::new).collect();
                    self.faults.push((at + rng.gen_range(200..8_000), Fault::Mend));
                    Fault::Partition(side)
                }
                9 => Fault::Flap(party, self.somebody(rng)),
                10 => {
                    self.faults.push((at + rng.gen_range(500..6_000), Fault::Resume));
                    Fault::Halt
                }
                11 => Fault::ForgetMempool,
                12 => Fault::Slow(party, rng.gen_range(2..20)),
                13 => Fault::Lie(party, Some(EndpointLie::Ahead(rng.gen_range(1..4)))),
                14 => Fault::Lie(party, Some(EndpointLie::Behind(rng.gen_range(1..4)))),
                _ => Fault::Lag(party, rng.gen_range(1..6)),
            };
            self.faults.push((at, fault));
        }
    }

    fn somebody(&self, rng: &mut ChaCha20Rng) -> PartyIndex {
        PartyIndex::new(rng.gen_range(0..self.of))
    }
}
