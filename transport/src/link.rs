//! Which of several connections to one peer carries the frames. Pure: events in, actions out.
//!
//! Both nodes may dial, so two connections can stand at once. Frames must travel on one of them, the same for both, or
//! their order is lost. So one side decides, the *conductor*: the node with the smaller id. It puts one connection in
//! use and says so on it; the other connection stays in reserve and takes over when the first dies. Of two connections
//! dialed by the same side the older is dead or about to be (a node dials only when it has none), so it is closed.
//!
//! A connection is put in use only after the one before it has *ended*, not merely been told to: until then its last
//! frames could still arrive.

use std::collections::BTreeMap;

/// Who dialed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialer {
    We,
    They,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<C> {
    /// End this connection; [`Link::ended`] must follow.
    Close(C),
    /// Frames are lost from here on.
    Down,
    /// Frames can be sent from here on.
    Up,
    /// Carry the frames on this connection; with `announce`, tell the peer first.
    Use { connection: C, announce: bool },
}

/// The connections of one peer whose handshake is done. `C` names a connection; a later one has a larger name.
#[derive(Debug)]
pub(crate) struct Link<C> {
    conductor: bool,
    ready: BTreeMap<C, Dialer>,
    in_use: Option<C>,
    /// Asked for by the conductor while another was in use.
    next: Option<C>,
}

impl<C: Copy + Ord> Link<C> {
    pub(crate) fn new(conductor: bool) -> Self {
        Self { conductor, ready: BTreeMap::new(), in_use: None, next: None }
    }

    pub(crate) fn connections(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn in_use(&self) -> Option<C> {
        self.in_use
    }

    /// A handshake was finished.
    #[must_use]
    pub(crate) fn ready(&mut self, connection: C, dialer: Dialer) -> Vec<Action<C>> {
        let older = self.ready.iter().filter(|(_, by)| **by == dialer).map(|(older, _)| Action::Close(*older));
        let mut actions: Vec<_> = older.collect();
        self.ready.insert(connection, dialer);
        actions.extend(self.conduct());
        actions
    }

    /// The conductor put this connection in use.
    #[must_use]
    pub(crate) fn asked(&mut self, connection: C) -> Vec<Action<C>> {
        if self.conductor || !self.ready.contains_key(&connection) {
            return Vec::new();
        }
        match self.in_use {
            None => self.begin(connection, false),
            Some(current) => {
                self.next = Some(connection);
                vec![Action::Close(current)]
            }
        }
    }

    /// A connection is gone; nothing will arrive on it any more.
    #[must_use]
    pub(crate) fn ended(&mut self, connection: C) -> Vec<Action<C>> {
        self.ready.remove(&connection);
        if self.next == Some(connection) {
            self.next = None;
        }
        if self.in_use != Some(connection) {
            return Vec::new();
        }
        self.in_use = None;
        let mut actions = vec![Action::Down];
        match self.next.take() {
            Some(next) => actions.extend(self.begin(next, false)),
            None => actions.extend(self.conduct()),
        }
        actions
    }

    /// As conductor, puts the newest connection in use if none is.
    fn conduct(&mut self) -> Vec<Action<C>> {
        match self.ready.last_key_value() {
            Some((newest, _)) if self.conductor && self.in_use.is_none() => self.begin(*newest, true),
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, connection: C, announce: bool) -> Vec<Action<C>> {
        self.in_use = Some(connection);
        vec![Action::Up, Action::Use { connection, announce }]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    fn begin(connection: u32, announce: bool) -> [Action<u32>; 2] {
        [Action::Up, Action::Use { connection, announce }]
    }

    #[test]
    fn only_the_conductor_puts_a_connection_in_use() {
        let mut conductor = Link::new(true);
        assert_eq!(conductor.ready(1, Dialer::We), begin(1, true));
        let mut other = Link::new(false);
        assert_eq!(other.ready(1, Dialer::They), []);
        assert_eq!(other.asked(1), begin(1, false));
    }

    #[test]
    fn a_second_connection_stays_in_reserve_and_takes_over() {
        let mut conductor = Link::new(true);
        let _ = conductor.ready(1, Dialer::We);
        assert_eq!(conductor.ready(2, Dialer::They), []);
        assert_eq!(conductor.connections(), 2);
        assert_eq!(conductor.ended(1), [&[Action::Down], &begin(2, true)[..]].concat());
        assert_eq!(conductor.ended(2), [Action::Down]);
    }

    #[test]
    fn losing_the_reserve_changes_nothing() {
        let mut conductor = Link::new(true);
        let _ = conductor.ready(1, Dialer::We);
        let _ = conductor.ready(2, Dialer::They);
        assert_eq!(conductor.ended(2), []);
        assert_eq!(conductor.in_use(), Some(1));
    }

    #[test]
    fn a_redialed_connection_replaces_the_one_of_the_same_dialer_once_that_has_ended() {
        let mut conductor = Link::new(true);
        let _ = conductor.ready(1, Dialer::They);
        assert_eq!(conductor.ready(2, Dialer::They), [Action::Close(1)]);
        assert_eq!(conductor.in_use(), Some(1));
        assert_eq!(conductor.ended(1), [&[Action::Down], &begin(2, true)[..]].concat());
    }

    #[test]
    fn the_other_side_moves_over_only_after_the_old_connection_has_ended() {
        let mut other = Link::new(false);
        let _ = other.ready(1, Dialer::They);
        let _ = other.asked(1);
        let _ = other.ready(2, Dialer::We);
        assert_eq!(other.asked(2), [Action::Close(1)]);
        assert_eq!(other.ended(1), [&[Action::Down], &begin(2, false)[..]].concat());
    }

    #[test]
    fn a_request_for_an_unknown_connection_or_to_the_conductor_is_ignored() {
        assert_eq!(Link::<u32>::new(false).asked(9), []);
        let mut conductor = Link::new(true);
        let _ = conductor.ready(1, Dialer::We);
        let _ = conductor.ready(2, Dialer::They);
        assert_eq!(conductor.asked(2), []);
    }

    /// Two nodes, connections that appear and die, news that arrives late: one side's word for the wire.
    #[derive(Default)]
    struct Wire {
        to_conductor: VecDeque<News>,
        to_other: VecDeque<News>,
    }

    #[derive(Clone, Copy)]
    enum News {
        Ready(u32, Dialer),
        Asked(u32),
        Ended(u32),
    }

    impl Wire {
        fn play(&mut self, link: &mut Link<u32>, log: &mut Vec<Action<u32>>, open: &mut BTreeSet<u32>) -> bool {
            let queue = if link.conductor { &mut self.to_conductor } else { &mut self.to_other };
            let Some(news) = queue.pop_front() else {
                return false;
            };
            let actions = match news {
                News::Ready(connection, dialer) => link.ready(connection, dialer),
                News::Asked(connection) => link.asked(connection),
                News::Ended(connection) => link.ended(connection),
            };
            for action in &actions {
                match action {
                    Action::Close(connection) => self.end(*connection, open),
                    Action::Use { connection, announce: true } if open.contains(connection) => {
                        self.to_other.push_back(News::Asked(*connection));
                    }
                    Action::Use { .. } | Action::Up | Action::Down => {}
                }
            }
            log.extend(actions);
            true
        }

        fn end(&mut self, connection: u32, open: &mut BTreeSet<u32>) {
            if open.remove(&connection) {
                self.to_conductor.push_back(News::Ended(connection));
                self.to_other.push_back(News::Ended(connection));
            }
        }
    }

    proptest! {
        #[test]
        fn both_sides_end_on_the_same_connection_whatever_comes_and_goes(
            moves in proptest::collection::vec((0u8..5, any::<u32>()), 0..60),
        ) {
            let (mut conductor, mut other) = (Link::new(true), Link::new(false));
            let (mut logs, mut wire) = ((Vec::new(), Vec::new()), Wire::default());
            let mut open = BTreeSet::new();
            for (number, (kind, pick)) in moves.into_iter().enumerate() {
                let number = number as u32;
                match kind {
                    0 | 1 => {
                        let ends = if kind == 0 { (Dialer::We, Dialer::They) } else { (Dialer::They, Dialer::We) };
                        open.insert(number);
                        wire.to_conductor.push_back(News::Ready(number, ends.0));
                        wire.to_other.push_back(News::Ready(number, ends.1));
                    }
                    2 => {
                        let victim = open.iter().nth(pick as usize % open.len().max(1)).copied();
                        victim.into_iter().for_each(|victim| wire.end(victim, &mut open));
                    }
                    3 => drop(wire.play(&mut conductor, &mut logs.0, &mut open)),
                    _ => drop(wire.play(&mut other, &mut logs.1, &mut open)),
                }
            }
            while wire.play(&mut conductor, &mut logs.0, &mut open) || wire.play(&mut other, &mut logs.1, &mut open) {}
            prop_assert_eq!(conductor.in_use(), other.in_use());
            prop_assert_eq!(conductor.in_use().is_some(), !open.is_empty(), "an open connection is used");
            for log in [logs.0, logs.1] {
                let marks: Vec<_> = log.into_iter().filter(|a| matches!(a, Action::Up | Action::Down)).collect();
                prop_assert!(marks.iter().enumerate().all(|(k, mark)| (*mark == Action::Up) == (k % 2 == 0)));
            }
        }
    }
}
