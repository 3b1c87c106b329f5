//! Simple transactions of a wallet to a destination stand in line: one is completed and signed at a time, in the order in
//! which they were asked, and the next only when the nonce of the last is spent in a final block of the destination, or an
//! operator has given it up. Two transactions with one nonce would compete, and one of the two users would lose.
//!
//! Pure: it names what is next; reading, agreeing and writing are the node's.

use std::collections::{BTreeMap, BTreeSet};

use chain_client::zrsign::name::Slot;
use serde::{Deserialize, Serialize};

use crate::decree::DecreeId;

/// Which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineName {
    /// The wallet.
    pub wallet: Slot,
    /// The EIP-155 id of the destination.
    pub destination: u64,
}

/// A transaction that was signed and whose nonce is not known to be spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// The signature's decree.
    pub decree: DecreeId,
    /// Its nonce.
    pub nonce: u64,
}

/// All lines of one contract.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    lines: BTreeMap<LineName, Line>,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Line {
    /// Signature decrees; they sort by the contract's own number.
    waiting: BTreeSet<DecreeId>,
    flight: Option<Flight>,
}

impl Lines {
    /// A request takes its place.
    pub fn enter(&mut self, line: LineName, decree: DecreeId) {
        self.changed = true;
        self.lines.entry(line).or_default().waiting.insert(decree);
    }

    /// A request waits no longer; which line it stood in.
    pub fn leave(&mut self, decree: &DecreeId) -> Option<LineName> {
        self.changed = true;
        let name = self.lines.iter_mut().find_map(|(name, line)| line.waiting.remove(decree).then_some(*name));
        self.sweep();
        name
    }

    /// A transaction of this line was signed. A later nonce takes the place of an earlier one.
    pub fn fly(&mut self, line: LineName, flight: Flight) {
        self.changed = true;
        let place = &mut self.lines.entry(line).or_default().flight;
        if place.as_ref().is_none_or(|known| known.nonce <= flight.nonce) {
            *place = Some(flight);
        }
    }

    /// The line's transaction is over: its nonce is spent, or given up.
    pub fn land(&mut self, line: &LineName) -> Option<Flight> {
        self.changed = true;
        let landed = self.lines.get_mut(line).and_then(|line| line.flight.take());
        self.sweep();
        landed
    }

    /// Whether who is next, or what flies, may have changed since this was last asked.
    pub const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Who is next in each line.
    pub fn heads(&self) -> impl Iterator<Item = (&LineName, &DecreeId)> {
        self.lines
            .iter()
            .filter(|(_, line)| line.flight.is_none())
            .filter_map(|(name, line)| Some((name, line.waiting.first()?)))
    }

    /// What is in flight.
    pub fn flights(&self) -> impl Iterator<Item = (&LineName, &Flight)> {
        self.lines.iter().filter_map(|(name, line)| Some((name, line.flight.as_ref()?)))
    }

    /// Whether anybody stands in this line.
    #[must_use]
    pub fn is_waited_for(&self, line: &LineName) -> bool {
        self.lines.get(line).is_some_and(|line| !line.waiting.is_empty())
    }

    /// The request in line to which its contract gave this number.
    pub fn waits(&self, number: u64) -> Option<&DecreeId> {
        self.lines.values().flat_map(|line| &line.waiting).find(|decree| decree.request == number)
    }

    /// Why a request is not next, in words; `None` if it is, or does not wait.
    #[must_use]
    pub fn why_not(&self, decree: &DecreeId) -> Option<String> {
        let line = self.lines.values().find(|line| line.waiting.contains(decree))?;
        match &line.flight {
            Some(flight) => Some(format!(
                "waits until nonce {} of its wallet, which {} has, is spent for good",
                flight.nonce, flight.decree
            )),
            None => line.waiting.first().filter(|first| *first != decree).map(|first| format!("waits behind {first}")),
        }
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    fn sweep(&mut self) {
        self.lines.retain(|_, line| line.flight.is_some() || !line.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decree::Kind;
    use alloy_primitives::{Address, U256};
    use chain_client::zrsign::name::{Proxy, WalletKind};

    fn line(index: u64, destination: u64) -> LineName {
        let proxy = Proxy { chain: 1, address: Address::ZERO };
        let wallet = Slot { proxy, kind: WalletKind::Evm, owner: Address::ZERO, index: U256::from(index) };
        LineName { wallet, destination }
    }

    fn decree(request: u64) -> DecreeId {
        let (chain, keyring) = ("eip155:1".to_owned(), "0x".to_owned());
        DecreeId { chain, keyring, kind: Kind::Signature, request, event: Some([request as u8; 32]), item: 0 }
    }

    fn heads(lines: &Lines) -> Vec<u64> {
        lines.heads().map(|(_, decree)| decree.request).collect()
    }

    #[test]
    fn one_flies_at_a_time_in_the_order_in_which_they_were_asked() {
        let mut lines = Lines::default();
        for number in [7, 3, 5] {
            lines.enter(line(0, 10), decree(number));
        }
        assert_eq!((heads(&lines), lines.waiting()), (vec![3], 3));
        assert!(lines.why_not(&decree(3)).is_none());
        assert!(lines.why_not(&decree(5)).is_some_and(|why| why.contains("behind eip155:1/signature/3")));
        assert_eq!(lines.leave(&decree(3)), Some(line(0, 10)));
        lines.fly(line(0, 10), Flight { decree: decree(3), nonce: 4 });
        assert!(heads(&lines).is_empty());
        assert!(lines.why_not(&decree(5)).is_some_and(|why| why.contains("nonce 4")));
        assert_eq!(lines.land(&line(0, 10)).map(|flight| flight.nonce), Some(4));
        assert_eq!(heads(&lines), [5]);
    }

    #[test]
    fn wallets_and_destinations_do_not_wait_for_each_other() {
        let mut lines = Lines::default();
        for (place, number) in [(line(0, 10), 1), (line(1, 10), 2), (line(0, 11), 3)] {
            lines.enter(place, decree(number));
        }
        assert_eq!(heads(&lines), [1, 3, 2]);
        assert_eq!(lines.waits(2), Some(&decree(2)));
        assert_eq!(lines.leave(&decree(9)), None);
    }

    #[test]
    fn an_earlier_nonce_does_not_take_the_place_of_a_later_one() {
        let mut lines = Lines::default();
        for (number, nonce) in [(1, 5), (2, 4), (3, 6)] {
            lines.fly(line(0, 10), Flight { decree: decree(number), nonce });
        }
        assert_eq!(lines.flights().map(|(_, flight)| flight.nonce).collect::<Vec<_>>(), [6]);
        lines.land(&line(0, 10));
        assert!(lines.flights().next().is_none() && lines.lines.is_empty());
    }
}
