//! The memory of a party, alive twice: the test plays both at the wire, with the party's real identity and its real store,
//! as a later life of it. A snapshot of a running machine looks like that to its peers.

use std::time::Duration;

use bytes::Bytes;
use keyring::app::post::agreement_lane;
use keyring::config::Config;
use keyring::identity::NodeIdentity;
use keyring::lease::{Held, LeaseWord, Life};
use keyring::message::{Attachment, Content, Envelope, Packet, decode_frame, encode_frame};
use keyring::roster::Roster;
use keyring::store::{RocksStore, Store as _};
use mpc_core::PartyIndex;
use transport::{Incoming, Network, NetworkConfig, NodeKey, PeerId, Transport as _, WallClock};

use crate::Crew;
use crate::ground::{randomness, unlock};

/// Longest wait for a peer's answer. Dials have a backoff of up to fifteen seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// What both copies drew when they were one.
const INSTANCE: u64 = 0x000d_0ab1;

pub(crate) struct Double {
    network: Network,
    identity: NodeIdentity,
    store: RocksStore,
    roster: Roster,
    me: PartyIndex,
    life: Life,
}

impl Double {
    /// The party must not run: its store is in use as long as this lives.
    pub(crate) async fn of(crew: &Crew, party: usize) -> Self {
        let folder = crew.party_folder(party);
        let config = Config::load(&folder.join("keyringd.toml")).unwrap();
        let identity = NodeIdentity::from_secret(&std::fs::read(folder.join("identity")).unwrap()).unwrap();
        let roster = Roster::load(&config.node.roster).unwrap();
        let me = roster.own_place(&identity.public()).unwrap();
        let store = RocksStore::open(&config.node.data_dir, &unlock(party), randomness(0)).unwrap();
        let incarnation = keyring::node::incarnation(&store).unwrap().number;
        let life = Life { incarnation, boot: store.raise_boot().unwrap() };
        let key = NodeKey::from_seed(identity.seed());
        let mut links = NetworkConfig::new(key, Vec::new(), WallClock::system(), INSTANCE);
        links.limits.body_bytes_max = config.limits.frame_bytes_max;
        let network = links.build().await.unwrap().spawn(&roster.book().unwrap());
        Self { network, identity, store, roster, me, life }
    }

    /// Is known to a peer from now on. Returns the token that the next renewal must name.
    pub(crate) async fn hello(&mut self, peer: PartyIndex) -> u64 {
        let nonce = 1;
        let hello = |life, held| LeaseWord::Hello { life, nonce, held, restore: 0 };
        let mut answer = self.ask(peer, hello(self.life, None), nonce).await;
        if let LeaseWord::Challenge { position, .. } = answer {
            let hash = self.store.hash_at(position).unwrap().expect("its journal holds what the peer has seen");
            answer = self.ask(peer, hello(self.life, Some(Held { position, hash })), nonce).await;
        }
        match answer {
            LeaseWord::Granted { token, .. } => token,
            other => panic!("party {peer} answers a hello with {other:?}"),
        }
    }

    /// What a peer answers to a renewal by one of the two, which draws this chance.
    pub(crate) async fn renew(&mut self, peer: PartyIndex, token: u64, nonce: u64) -> LeaseWord {
        self.ask(peer, LeaseWord::Renew { token, nonce, sights: Vec::new(), acts: false }, nonce).await
    }

    /// Says it when the link stands, and waits for the answer to it. Whatever else is said is not listened to.
    async fn ask(&mut self, to: PartyIndex, word: LeaseWord, nonce: u64) -> LeaseWord {
        let peer = PeerId::from(self.roster.node_key(to).unwrap());
        let head = self.store.head();
        let (speaker, content) = ((self.me, INSTANCE), Content::Lease(to, word));
        let envelope = Envelope::sign(&self.identity, self.roster.epoch(), speaker, content, head.position, head.hash);
        let frame: Bytes = encode_frame(&[Packet { envelope, attachment: Attachment::default() }]).unwrap().into();
        let asking = async {
            while self.network.send(peer, agreement_lane(), frame.clone()).is_err() {
                self.network.next().await.expect("the links go on");
            }
            loop {
                let incoming = self.network.next().await.expect("the links go on");
                let Incoming::Frame { from, lane, body } = incoming else { continue };
                if (from, lane) != (peer, agreement_lane()) {
                    continue;
                }
                let packets = decode_frame(&body).unwrap().into_iter();
                let mut words = packets.filter_map(|packet| match packet.envelope.content {
                    Content::Lease(_, word) => Some(word),
                    _ => None,
                });
                if let Some(answer) = words.find(|word| answered(word) == Some(nonce)) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("party {to} does not answer"))
    }

    /// Both copies end, without a word.
    pub(crate) async fn end(mut self) {
        self.network.drain(Duration::from_secs(2)).await;
    }
}

/// The nonce of the question that a word answers.
const fn answered(word: &LeaseWord) -> Option<u64> {
    match word {
        LeaseWord::Challenge { nonce, .. }
        | LeaseWord::Granted { nonce, .. }
        | LeaseWord::Refused { nonce, .. }
        | LeaseWord::Renewed { nonce, .. }
        | LeaseWord::HelloAgain { nonce } => Some(*nonce),
        LeaseWord::Hello { .. } | LeaseWord::Consent { .. } | LeaseWord::Renew { .. } | LeaseWord::Goodbye => None,
    }
}
