//! The other parties: who is there, and whether they hold the same roster.

use super::{Finding, PartyFacts, fail, ok, warn};

/// One finding for all that are here, and one for each that is not.
pub(super) fn peers(party: &PartyFacts) -> Vec<Finding> {
    let Ok(roster) = &party.roster else {
        return vec![warn("peers", "not looked at: there is no roster", "make the roster first")];
    };
    if party.peers.is_empty() {
        return vec![warn("peers", "not looked at", "mend what stands above; they are looked at then")];
    }
    let mut findings = Vec::new();
    for (name, peer) in &party.peers {
        let Some(fault) = &peer.fault else { continue };
        let subject = format!("peer {name}");
        findings.push(if peer.other_roster {
            let remedy = "compare fingerprints with its operator: one of you holds another roster file";
            fail(subject, fault.clone(), remedy)
        } else {
            let remedy = "is it running? do its addresses in the roster, and the firewalls between, let you through?";
            warn(subject, fault.clone(), remedy)
        });
    }
    let here = party.peers.values().filter(|peer| peer.fault.is_none()).count();
    let (all, quorum) = (roster.parties().len(), roster.quorum());
    let found = format!("{} of {} are reached", here, all.saturating_sub(1));
    findings.push(if here + 1 >= quorum {
        ok("peers", found)
    } else {
        let found = format!("{found}: with this party {} of the {quorum} that agreement needs", here + 1);
        fail("peers", found, "have the other operators start their nodes; nothing is answered until then")
    });
    findings
}
