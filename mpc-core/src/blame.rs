//! Reads out of a library's error who is to blame.
//!
//! The libraries know the culprit but keep the type private; the index stands only in the `Debug` text of the error chain. The three
//! forms it takes there are pinned by tests that make each library fail.

use std::{collections::BTreeSet, error::Error};

use crate::{abort::Abort, party::PartyIndex};

/// Turns a library error of a run among `parties` (by position) into an abort.
pub(crate) fn abort_from(error: &dyn Error, parties: &[PartyIndex]) -> Abort {
    let text = format!("{error:?}");
    let culprits: BTreeSet<_> =
        positions(&text).into_iter().filter_map(|position| parties.get(position).copied()).collect();
    let reason = chain(error);
    if text.contains("NotReliable") && parties.len() > 2 {
        // Whoever echoes something else may be honest, and told something else by a third party: nobody can be named.
        Abort::suspect([], reason)
    } else if culprits.is_empty() {
        // Also what the library calls a bug: our inputs were checked before the run, so a peer's numbers have led there.
        Abort::suspect([], reason)
    } else {
        Abort::Proven { culprits, reason }
    }
}

/// The causes joined; bounded, because some carry a whole list.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().take(300).collect()
}

/// The positions named by `faulty_party: 1`, `parties: [1, 2]` and `NotReliable([(1, 7), (2, 9)])`.
fn positions(text: &str) -> Vec<usize> {
    let mut found: Vec<usize> = after(text, "faulty_party: ").filter_map(leading_number).collect();
    for list in after(text, "parties: [") {
        let list = list.split(']').next().unwrap_or_default();
        found.extend(list.split(", ").filter_map(leading_number));
    }
    for list in after(text, "NotReliable([(") {
        let list = list.split(']').next().unwrap_or_default();
        found.extend(list.split("), (").filter_map(leading_number));
    }
    found
}

fn after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).filter_map(move |(at, _)| text.get(at + mark.len()..))
}

fn leading_number(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_which_the_libraries_name_a_party_is_read() {
        assert_eq!(
            positions(
                "InvalidPsi([(AbortBlame { faulty_party: 1, data_message: 3 }, x), (AbortBlame { faulty_party: 2"
            ),
            [1, 2]
        );
        assert_eq!(positions("Aborted(FeldmanVerificationFailed { parties: [0, 12] })"), [0, 12]);
        assert_eq!(positions("Round1NotReliable([(1, 5), (2, 6)])"), [1, 2]);
        assert_eq!(positions("Aborted(MismatchedDelta)"), Vec::<usize>::new());
        assert_eq!(positions("parties: []"), Vec::<usize>::new());
    }
}
