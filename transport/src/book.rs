//! The peer book: who may talk to us, where they listen, and under which roster. Valid by construction.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::PeerId;

/// Most peers in one book.
const PEERS_MAX: usize = 256;
/// Most addresses of one peer: they are dialed together.
const ADDRESSES_MAX: usize = 8;

/// Where a node listens: an IP address with a TCP port or a QUIC port.
///
/// Written as a multiaddress: `/ip4/10.0.0.7/tcp/7000` or `/ip6/::1/udp/7000/quic-v1`. Port 0 means any, for listening.
/// Names are not resolved here; give addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(Multiaddr);

/// The text is not an address that this transport can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: write /ip4/A/tcp/PORT or /ip4/A/udp/PORT/quic-v1 (or ip6)")]
pub struct AddressError(String);

impl Address {
    pub(crate) fn multiaddr(&self) -> &Multiaddr {
        &self.0
    }

    /// The TCP socket address, or `None` for QUIC.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        let mut parts = self.0.iter();
        let ip: IpAddr = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        match parts.next()? {
            Protocol::Tcp(port) => Some((ip, port).into()),
            _ => None,
        }
    }

    /// Keeps the part that this crate understands of an address that libp2p reports.
    pub(crate) fn from_multiaddr(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let usable = match (parts.next(), parts.next()) {
            (Some(Protocol::Ip4(_) | Protocol::Ip6(_)), Some(Protocol::Tcp(_))) => parts.next().is_none(),
            (Some(Protocol::Ip4(_) | Protocol::Ip6(_)), Some(Protocol::Udp(_))) => {
                parts.next() == Some(Protocol::QuicV1) && parts.next().is_none()
            }
            _ => false,
        };
        usable.then(|| Self(address.clone()))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<Multiaddr>()
            .ok()
            .and_then(|address| Self::from_multiaddr(&address))
            .ok_or_else(|| AddressError(text.chars().take(120).collect()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// One peer of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// Its node key.
    pub id: PeerId,
    /// What people call it; used in logs and facts only.
    pub name: String,
    /// Where it can be dialed, all at once; may be empty if it always dials us. At most 8.
    pub addresses: Vec<Address>,
}

/// The allow-list: every node that may hold a link with us, and the digest of the roster that says so.
///
/// The digest is opaque here. Two nodes link only if theirs are equal, so a node under an older roster is refused even
/// if its key is still listed. The book may contain our own entry; it is skipped.
#[derive(Clone, Debug)]
pub struct PeerBook {
    roster_digest: [u8; 32],
    entries: BTreeMap<PeerId, PeerEntry>,
}

/// Why a list of peers is not a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// More entries than a book holds.
    #[error("the peer book has {0} entries, at most {PEERS_MAX} are allowed")]
    TooManyPeers(usize),
    /// Two entries have the same key.
    #[error("peer {0} (`{1}`) is listed twice")]
    Twice(PeerId, String),
    /// The bytes are not an Ed25519 public key, or one of the few for which anybody can sign.
    #[error("the key of peer `{1}`, {0}, is not a safe Ed25519 public key")]
    InvalidKey(PeerId, String),
    /// More addresses than one peer may have.
    #[error("peer `{0}` has {1} addresses, at most {ADDRESSES_MAX} are allowed")]
    TooManyAddresses(String, usize),
}

impl PeerBook {
    /// Checks and takes a list of peers under the roster of this digest.
    ///
    /// # Errors
    /// Names the first entry that cannot stand.
    pub fn new(roster_digest: [u8; 32], entries: impl IntoIterator<Item = PeerEntry>) -> Result<Self, BookError> {
        let mut book = Self { roster_digest, entries: BTreeMap::new() };
        for entry in entries {
            if !entry.id.is_safe_key() {
                return Err(BookError::InvalidKey(entry.id, entry.name));
            }
            if entry.addresses.len() > ADDRESSES_MAX {
                return Err(BookError::TooManyAddresses(entry.name, entry.addresses.len()));
            }
            let name = entry.name.clone();
            if let Some(first) = book.entries.insert(entry.id, entry) {
                return Err(BookError::Twice(first.id, name));
            }
        }
        if book.entries.len() > PEERS_MAX {
            return Err(BookError::TooManyPeers(book.entries.len()));
        }
        Ok(book)
    }

    /// The digest of the roster that this book was made from.
    #[must_use]
    pub fn roster_digest(&self) -> &[u8; 32] {
        &self.roster_digest
    }

    /// Every entry, in the order of the keys.
    pub fn entries(&self) -> impl Iterator<Item = &PeerEntry> {
        self.entries.values()
    }

    /// The entry of one peer.
    #[must_use]
    pub fn entry(&self, peer: PeerId) -> Option<&PeerEntry> {
        self.entries.get(&peer)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::NodeKey;

    fn entry(seed: u8) -> PeerEntry {
        let id = NodeKey::from_seed(Zeroizing::new([seed; 32])).peer_id();
        PeerEntry { id, name: format!("party-{seed}"), addresses: Vec::new() }
    }

    #[test]
    fn tcp_and_quic_addresses_are_read_and_written_back() {
        for text in ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/7000", "/ip4/10.0.0.7/udp/7000/quic-v1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in ["", "127.0.0.1:70", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/7", "/dns4/a/tcp/1", "/ip4/1.2.3.4/tcp/1/ws"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_peer_listed_twice_is_refused() {
        let error = PeerBook::new([0; 32], [entry(1), entry(2), entry(1)]).unwrap_err();
        assert_eq!(error, BookError::Twice(entry(1).id, "party-1".into()));
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        let no_point = (0..=255u8).map(|byte| PeerId::new([byte; 32])).find(|peer| peer.to_libp2p().is_none()).unwrap();
        let bad = PeerEntry { id: no_point, ..entry(1) };
        assert_eq!(PeerBook::new([0; 32], [bad]).unwrap_err(), BookError::InvalidKey(no_point, "party-1".into()));
    }

    #[test]
    fn a_key_for_which_anybody_can_sign_is_refused() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let bad = PeerEntry { id: PeerId::new(identity_point), ..entry(1) };
        assert!(matches!(PeerBook::new([0; 32], [bad]), Err(BookError::InvalidKey(..))));
    }

    #[test]
    fn a_crowd_of_addresses_is_refused() {
        let address: Address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let crowded = PeerEntry { addresses: vec![address; 9], ..entry(1) };
        assert_eq!(PeerBook::new([0; 32], [crowded]).unwrap_err(), BookError::TooManyAddresses("party-1".into(), 9));
    }
}
