//! What waits to be sent to one peer: bounded as a whole and per lane, served lane by lane in turn.
//!
//! A plain data structure; who locks it and who is woken is `exchange`'s business.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::{Lane, Limits};

/// The queue was full: the frame was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Frames for one peer.
///
/// Lanes take turns, one frame each, so a frame waits for at most one frame of every other lane before it moves up.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<Lane, Waiting>,
    /// Lanes that hold frames, in the order of their turns; each lane of `lanes` stands here once.
    turns: VecDeque<Lane>,
    frames: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    bodies: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, lane: Lane, body: Bytes, limits: &Limits) -> Result<(), Full> {
        if self.frames >= limits.outbox_frames_max || self.bytes + body.len() > limits.outbox_bytes_max {
            return Err(Full);
        }
        if let Some(waiting) = self.lanes.get(&lane)
            && (waiting.bodies.len() >= limits.lane_frames_max || waiting.bytes + body.len() > limits.lane_bytes_max)
        {
            return Err(Full);
        }
        self.frames += 1;
        self.bytes += body.len();
        let waiting = self.lanes.entry(lane).or_default();
        if waiting.bodies.is_empty() {
            self.turns.push_back(lane);
        }
        waiting.bytes += body.len();
        waiting.bodies.push_back(body);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<(Lane, Bytes)> {
        let lane = self.turns.pop_front()?;
        let waiting = self.lanes.get_mut(&lane)?;
        let body = waiting.bodies.pop_front()?;
        waiting.bytes -= body.len();
        if waiting.bodies.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        self.frames -= 1;
        self.bytes -= body.len();
        Some((lane, body))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            body_bytes_max: 10,
            outbox_frames_max: 6,
            outbox_bytes_max: 40,
            lane_frames_max: 3,
            lane_bytes_max: 20,
            ..Limits::default()
        }
    }

    fn lane(number: u8) -> Lane {
        Lane::new([number; 32])
    }

    fn body(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    #[test]
    fn a_busy_lane_does_not_keep_another_waiting() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(lane(1), body(1), &limits()).unwrap();
        }
        outbox.push(lane(2), body(2), &limits()).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| outbox.pop()).map(|(lane, _)| lane).collect();
        assert_eq!(order, [lane(1), lane(2), lane(1), lane(1)]);
    }

    #[test]
    fn a_full_lane_leaves_room_for_others() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(lane(1), body(1), &limits()).unwrap();
        }
        assert_eq!(outbox.push(lane(1), body(1), &limits()), Err(Full));
        outbox.push(lane(2), body(10), &limits()).unwrap();
        outbox.push(lane(2), body(10), &limits()).unwrap();
        assert_eq!(outbox.push(lane(2), body(1), &limits()), Err(Full), "20 bytes are one lane's part");
        outbox.push(lane(3), body(1), &limits()).unwrap();
        assert_eq!(outbox.push(lane(4), body(0), &limits()), Err(Full), "six frames are all");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_lane_keeps_its_order(pushes in proptest::collection::vec((0u8..4, 0usize..10), 0..60)) {
            let mut outbox = Outbox::default();
            let mut taken = Vec::new();
            let mut given = Vec::new();
            for (number, (which, length)) in pushes.into_iter().enumerate() {
                let mut bytes = vec![0; length + 1];
                bytes[0] = number as u8;
                if outbox.push(lane(which), Bytes::from(bytes.clone()), &limits()).is_ok() {
                    given.push((lane(which), Bytes::from(bytes)));
                }
                prop_assert!(outbox.frames() <= 6 && outbox.bytes() <= 40);
                if number % 3 == 0 {
                    taken.extend(outbox.pop());
                }
            }
            taken.extend(std::iter::from_fn(|| outbox.pop()));
            prop_assert_eq!((outbox.frames(), outbox.bytes()), (0, 0));
            given.sort_by_key(|(lane, _)| *lane);
            taken.sort_by_key(|(lane, _)| *lane);
            prop_assert_eq!(given, taken);
        }
    }
}
