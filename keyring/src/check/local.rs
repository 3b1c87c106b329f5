//! What lies on this machine: secrets, roster, store, disk, process.

use super::{ContractFacts, Finding, PartyFacts, StoreFacts, fail, ok, warn};
use crate::contract::chain_of;
use crate::roster::{Roster, RosterEntry};

/// Below this a store cannot be trusted to take another day's writes.
const DISK_LEAST: u64 = 256 << 20;
/// Below this a person should think of a larger disk.
const DISK_SCARCE: u64 = 2 << 30;

/// One finding for all secrets that are well, and one for each that is not.
pub(super) fn secrets(party: &PartyFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for secret in &party.secrets {
        if let Some(fault) = &secret.fault {
            let remedy = format!("make {} usable, or correct {}", secret.place, secret.field);
            findings.push(fail(format!("secret {}", secret.field), fault.clone(), remedy));
        } else if secret.inherited {
            let found = format!("{} is inherited by child processes and shows in crash reports", secret.place);
            let remedy = "prefer a file of mode 0600 or a systemd credential";
            findings.push(warn(format!("secret {}", secret.field), found, remedy));
        }
    }
    if findings.is_empty() {
        findings.push(ok("secrets", format!("{} are readable, and private", party.secrets.len())));
    }
    findings
}

/// The roster verifies, and this node stands in it under its own name and with its own accounts.
pub(super) fn roster(party: &PartyFacts) -> Finding {
    const SUBJECT: &str = "roster";
    let roster = match &party.roster {
        Ok(roster) => roster,
        Err(why) => {
            let remedy = "make and sign it with the other operators: keyringd ceremony entry, roster, sign, join";
            return fail(SUBJECT, why.clone(), remedy);
        }
    };
    let Some(node_key) = party.node_key else {
        return fail(SUBJECT, "the node's own key is not known", "mend the secret node.identity first");
    };
    let Some(own) = roster.index_of(&node_key).and_then(|place| roster.entry(place)) else {
        let found = format!("no entry has this node's key {}", hex::encode(node_key));
        return fail(SUBJECT, found, "put back the identity that the roster knows, or hold a new ceremony");
    };
    if own.name != party.name {
        let found = format!("this node's key stands there as {:?}, node.name says {:?}", own.name, party.name);
        return fail(SUBJECT, found, "two configurations or identities were exchanged: put each where it belongs");
    }
    for chain in &party.chains {
        let (Some(account), listed) = (&chain.account, own.accounts.get(&chain.id)) else { continue };
        if listed != Some(account) {
            let found = format!("on {} this party's account is {account}, the roster has {listed:?}", chain.id);
            return fail(SUBJECT, found, "put back the account key that the roster names, or hold a new ceremony");
        }
    }
    if let Some(finding) = party.contracts.iter().find_map(|contract| in_roster(contract, roster, own)) {
        return finding;
    }
    let threshold = roster.threshold();
    let (epoch, need, of) = (roster.epoch(), threshold.need(), threshold.of());
    ok(SUBJECT, format!("epoch {epoch}, {need} of {of}, signed by all; fingerprint {}", roster.fingerprint()))
}

/// All parties have asked for a contract's controller key, and none has another's account there. A roster need not list
/// accounts on EVM chains; what it lists holds.
fn in_roster(contract: &ContractFacts, roster: &Roster, own: &RosterEntry) -> Option<Finding> {
    const SUBJECT: &str = "roster";
    let (proxy, chain) = (contract.proxy, chain_of(contract.proxy.chain));
    if !roster.contracts().contains(&proxy) {
        let found = format!("it does not name {proxy}: nobody has asked for a controller key there");
        let remedy = "hold a new ceremony in which every card names the contract, or take its section out";
        return Some(fail(SUBJECT, found, remedy));
    }
    let account = contract.account?.to_string();
    let whose = roster.index_of_account(&chain, &account).and_then(|place| roster.entry(place));
    if let Some(other) = whose.filter(|entry| entry.node_key != own.node_key) {
        let found = format!("on {chain} this party's account is {account}, which is party {}'s", other.name);
        return Some(fail(SUBJECT, found, "two account keys were exchanged: put each where it belongs"));
    }
    let listed = own.accounts.get(&chain).filter(|listed| **listed != account)?;
    let found = format!("on {chain} this party's account is {account}, the roster has {listed}");
    Some(fail(SUBJECT, found, "put back the account key that the roster names, or hold a new ceremony"))
}

/// The store opens with the key that there is.
pub(super) fn store(party: &PartyFacts) -> Finding {
    const SUBJECT: &str = "store";
    match &party.store {
        StoreFacts::Opens { owner: Some(owner), .. } if party.node_key.is_some_and(|own| own.as_slice() != owner) => {
            let found = format!("belongs to the party with node key {}", hex::encode(owner));
            fail(SUBJECT, found, "correct node.data_dir or node.identity: one of the two is another party's")
        }
        StoreFacts::Opens { position, .. } => ok(SUBJECT, format!("opens; its journal stands at position {position}")),
        StoreFacts::InUse if party.running.is_some() => ok(SUBJECT, "the running node has it; not opened"),
        StoreFacts::InUse => {
            let remedy =
                "wait until it answers; if it never does, look at its log, and at which process holds the lock";
            warn(SUBJECT, "a process has it that does not answer on the admin socket", remedy)
        }
        StoreFacts::NoKey => fail(SUBJECT, "what opens it cannot be read", "mend the secret store.unlock first"),
        StoreFacts::Fault(why) => fail(SUBJECT, why.clone(), "see docs/operations.md, exit codes and stores"),
    }
}

/// Nobody else can enter the store's folder.
pub(super) fn folder(party: &PartyFacts) -> Option<Finding> {
    let mode = party.folder_mode.filter(|mode| mode & 0o077 != 0)?;
    let found =
        format!("node.data_dir has mode {mode:04o}: others can see when this party writes, and what it is called");
    Some(fail("folder", found, "chmod 700; the node does not start before"))
}

/// There is room to write.
pub(super) fn disk(party: &PartyFacts) -> Finding {
    const SUBJECT: &str = "disk";
    let free = match &party.disk_free {
        Ok(free) => *free,
        Err(why) => return warn(SUBJECT, why.clone(), "look at the file system of node.data_dir"),
    };
    let found = format!("{} MiB free under node.data_dir", free >> 20);
    if free < DISK_LEAST {
        fail(
            SUBJECT,
            found,
            format!("make room: a node stops for good when a write fails; {} MiB are the least", DISK_LEAST >> 20),
        )
    } else if free < DISK_SCARCE {
        warn(SUBJECT, found, "make room before it becomes short")
    } else {
        ok(SUBJECT, found)
    }
}

/// Whether a node runs, contributes, and knows the roster that lies on the disk.
pub(super) fn running(party: &PartyFacts) -> Finding {
    const SUBJECT: &str = "node";
    let Some(running) = &party.running else {
        return warn(SUBJECT, "does not run", "start it: keyringd run (the first time: keyringd ceremony)");
    };
    if party.roster.as_ref().is_ok_and(|roster| roster.digest() != running.roster) {
        return fail(
            SUBJECT,
            "runs under another roster than the file that lies here",
            "restart it, or put the file back",
        );
    }
    let remedy = "see the other findings, and docs/operations.md, Why a node does not contribute";
    if !running.not_ready.is_empty() {
        fail(SUBJECT, format!("runs and does not contribute: {}", running.not_ready.join("; ")), remedy)
    } else if !running.degraded.is_empty() {
        warn(SUBJECT, format!("runs and contributes, and lacks: {}", running.degraded.join("; ")), remedy)
    } else {
        ok(SUBJECT, "runs and contributes")
    }
}
