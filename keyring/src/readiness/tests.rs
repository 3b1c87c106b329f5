use super::*;

fn chain() -> ChainFacts {
    let shell = ChainShell {
        id: "zenrock".to_owned(),
        keyring_address: "keyring1x".to_owned(),
        account: "zen1party".to_owned(),
        poll_ms: 1_000,
        call_timeout_ms: 5_000,
        read_age_ms: Some(400),
        look_age_ms: Some(3_000),
        look_failed: false,
        failing_endpoints: Vec::new(),
    };
    ChainFacts {
        shell,
        block_age_ms: Some(3_000),
        block_ms: 5_000,
        keyring: Keyring::Serving,
        is_out_of_funds: false,
        is_over_ceiling: false,
        halted: None,
        forked: None,
        warnings: Vec::new(),
    }
}

fn contract() -> ContractFacts {
    ContractFacts {
        id: "eip155:1".to_owned(),
        poll_ms: 1_000,
        call_timeout_ms: 5_000,
        read_age_ms: Some(500),
        look_age_ms: Some(500),
        closed: None,
        is_full: false,
        has_controller: true,
        halted: None,
        waits: Vec::new(),
        unread_destinations: Vec::new(),
        failing_endpoints: Vec::new(),
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        restraints: Vec::new(),
        fenced: Vec::new(),
        asking: Vec::new(),
        twins: Vec::new(),
        has_auxiliary: true,
        empty_lanes: Vec::new(),
        chains: vec![chain()],
        contracts: vec![contract()],
    }
}

/// Three of five, all well.
fn healthy() -> Facts {
    let peers = ["bravo", "charlie", "delta", "echo"];
    Facts {
        need: 3,
        quorum: 3,
        peers: peers.iter().map(|name| PeerFacts { name: (*name).to_owned(), is_here: true }).collect(),
        store_halted: false,
        links_ended: false,
        tasks_ended: Vec::new(),
        clock_warning: String::new(),
        node: Beat::Answered(node()),
    }
}

fn names(facts: &Facts) -> Vec<&'static str> {
    Readiness::of(facts).reasons.iter().map(|reason| reason.name.word()).collect()
}

fn with_node(change: impl FnOnce(&mut NodeFacts)) -> Vec<&'static str> {
    let mut node = node();
    change(&mut node);
    names(&Facts { node: Beat::Answered(node), ..healthy() })
}

fn with_chain(change: impl FnOnce(&mut ChainFacts)) -> Vec<&'static str> {
    with_node(|node| change(&mut node.chains[0]))
}

#[test]
fn a_contract_that_is_not_served_is_no_health() {
    let with = |change: fn(&mut ContractFacts)| with_node(|node| change(&mut node.contracts[0]));
    assert_eq!(with(|contract| contract.read_age_ms = None), ["contract_unread"]);
    assert_eq!(with(|contract| contract.look_age_ms = None), ["contract_unread"]);
    assert_eq!(with(|contract| contract.look_age_ms = Some(10_001)), ["contract_unread"]);
    assert_eq!(with(|contract| contract.look_age_ms = Some(10_000)), [""; 0]);
    assert_eq!(with(|contract| contract.closed = Some("other code".to_owned())), ["contract_closed"]);
    assert_eq!(with(|contract| contract.is_full = true), ["contract_full"]);
    assert_eq!(with(|contract| contract.has_controller = false), ["no_controller"]);
    assert_eq!(with(|contract| contract.halted = Some("moved".to_owned())), ["sender_halted"]);
    let down = |contract: &mut ContractFacts| contract.unread_destinations = vec!["eip155:10: it is down".to_owned()];
    assert_eq!(with(down), ["destination_unread"]);
    assert_eq!(with(|contract| contract.waits = vec!["too dear".to_owned(); 9]), ["answers_wait"; 4]);
    assert_eq!(with(|contract| contract.failing_endpoints = vec!["a".to_owned()]), ["endpoint_failing"]);
}

#[test]
fn a_node_that_lacks_nothing_has_no_reason() {
    assert_eq!(names(&healthy()), [""; 0]);
    assert!(Readiness::of(&healthy()).is_ready());
}

#[test]
fn missing_parties_are_named_and_judged_by_what_the_others_can_do() {
    let mut facts = healthy();
    facts.peers[1].is_here = false;
    let readiness = Readiness::of(&facts);
    assert!(readiness.is_ready(), "four of five suffice");
    assert!(readiness.degraded().any(|reason| reason.name == Name::PeersAbsent && reason.text.contains("charlie")));

    facts.peers[0].is_here = false;
    facts.peers[3].is_here = false;
    let readiness = Readiness::of(&facts);
    assert_eq!(names(&facts), ["too_few_to_sign", "too_few_for_agreement"]);
    let text = &readiness.not_ready().next().unwrap().text;
    assert!(text.contains("2 of 3") && text.contains("bravo, charlie, echo") && !text.contains("delta"), "{text}");

    // Of two of five two may sign, but agreement needs three.
    assert_eq!(names(&Facts { need: 2, ..facts }), ["too_few_for_agreement"]);
}

#[test]
fn a_node_that_does_not_answer_is_not_ready_whatever_else_is_known() {
    assert_eq!(names(&Facts { node: Beat::Stuck(3_000), ..healthy() }), ["node_stuck"]);
    assert_eq!(names(&Facts { node: Beat::Ended, ..healthy() }), ["node_ended"]);
    let failed = Facts { node: Beat::Ended, store_halted: true, tasks_ended: vec!["runs"], ..healthy() };
    assert_eq!(names(&failed), ["store_halted", "node_ended"]);
}

#[test]
fn a_part_of_the_daemon_that_ended_is_never_health() {
    assert_eq!(names(&Facts { tasks_ended: vec!["runs"], ..healthy() }), ["task_ended"]);
    assert_eq!(names(&Facts { links_ended: true, ..healthy() }), ["links_ended"]);
}

#[test]
fn a_wrong_clock_is_told_and_stops_nothing() {
    let facts = Facts { clock_warning: "this clock is 7 s behind".to_owned(), ..healthy() };
    assert_eq!(names(&facts), ["clock_wrong"]);
    assert!(Readiness::of(&facts).is_ready(), "nothing is decided by it");
}

#[test]
fn stock_blocks_only_where_work_stands_still() {
    assert_eq!(with_node(|node| node.has_auxiliary = false), ["no_auxiliary"]);
    let mut node = node();
    node.empty_lanes.push("ed25519".to_owned());
    let readiness = Readiness::of(&Facts { node: Beat::Answered(node), ..healthy() });
    assert!(readiness.is_ready() && readiness.has(Name::ShelfEmpty), "signatures go on, others lead key requests");
}

#[test]
fn a_chain_that_was_never_read_is_unread_and_nothing_else() {
    let unread = |chain: &mut ChainFacts| {
        (chain.shell.read_age_ms, chain.shell.look_age_ms, chain.block_age_ms) = (None, None, None);
        chain.keyring = Keyring::Unread;
    };
    assert_eq!(with_chain(unread), ["chain_unread"]);
    // Its head was read a moment ago, its requests are being read for the first time.
    assert_eq!(
        with_chain(|chain| (chain.shell.look_age_ms, chain.keyring) = (None, Keyring::Unread)),
        ["chain_unread"]
    );
}

#[test]
fn a_read_that_is_too_old_is_no_health() {
    let stale_after_ms = STALE_POLLS * 1_000 + 5_000;
    assert_eq!(with_chain(|chain| chain.shell.read_age_ms = Some(stale_after_ms)), [""; 0]);
    assert_eq!(with_chain(|chain| chain.shell.read_age_ms = Some(stale_after_ms + 1)), ["chain_stale"]);
    // Blocks are old then, too; but that is the reading's fault.
    let both = |chain: &mut ChainFacts| (chain.shell.read_age_ms, chain.block_age_ms) = (Some(600_000), Some(600_000));
    assert_eq!(with_chain(both), ["chain_stale"]);
}

#[test]
fn a_chain_without_new_blocks_is_halted_after_ten_of_its_own_block_times() {
    assert_eq!(with_chain(|chain| chain.block_age_ms = Some(50_000)), [""; 0]);
    assert_eq!(with_chain(|chain| chain.block_age_ms = Some(50_001)), ["chain_halted"]);
    let fast = |chain: &mut ChainFacts| (chain.block_ms, chain.block_age_ms) = (200, Some(HALTED_MS_MIN));
    assert_eq!(with_chain(fast), [""; 0]);
    let slower = |chain: &mut ChainFacts| (chain.block_ms, chain.block_age_ms) = (200, Some(HALTED_MS_MIN + 1));
    assert_eq!(with_chain(slower), ["chain_halted"]);
}

#[test]
fn one_failed_look_is_forgiven_and_a_row_of_them_is_not() {
    assert_eq!(with_chain(|chain| chain.shell.look_failed = true), [""; 0]);
    let failing = |chain: &mut ChainFacts| (chain.shell.look_failed, chain.shell.look_age_ms) = (true, Some(60_000));
    assert_eq!(with_chain(failing), ["requests_unread"]);
    let never = |chain: &mut ChainFacts| (chain.shell.look_failed, chain.shell.look_age_ms) = (true, None);
    assert_eq!(with_chain(never), ["requests_unread"]);
    // A chain without new blocks is not looked at, and that is no failure.
    assert_eq!(with_chain(|chain| chain.shell.look_age_ms = Some(40_000)), [""; 0]);
}

#[test]
fn whatever_stops_publication_is_named() {
    assert_eq!(with_chain(|chain| chain.keyring = Keyring::Unread), ["keyring_unread"]);
    assert_eq!(with_chain(|chain| chain.keyring = Keyring::Off), ["keyring_off"]);
    assert_eq!(with_chain(|chain| chain.keyring = Keyring::NotAParty), ["not_a_party"]);
    assert_eq!(with_chain(|chain| chain.halted = Some("moved".to_owned())), ["controller_halted"]);
    assert_eq!(with_chain(|chain| chain.forked = Some("at height 9".to_owned())), ["endpoints_forked"]);
    assert_eq!(with_chain(|chain| chain.warnings = vec!["it is denied".to_owned()]), ["controller_warns"]);
    assert_eq!(with_chain(|chain| chain.is_out_of_funds = true), ["no_funds"]);
    assert_eq!(with_chain(|chain| chain.is_over_ceiling = true), ["fee_ceiling"]);
    assert_eq!(with_chain(|chain| chain.shell.failing_endpoints = vec!["http://a".to_owned()]), ["endpoint_failing"]);
}

#[test]
fn names_are_words_of_their_own_and_every_text_carries_a_remedy() {
    let words: std::collections::BTreeSet<_> = Name::ALL.iter().map(|name| name.word()).collect();
    assert_eq!(words.len(), Name::ALL.len());
    for word in words {
        assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
    }
    for name in Name::ALL {
        let mut readiness = Readiness::default();
        readiness.push(*name, "a fact");
        assert_eq!(readiness.reasons[0].text, format!("a fact; {}", name.remedy()));
        assert_eq!(readiness.is_ready(), name.class() == Class::Degraded);
    }
}

#[test]
fn the_manual_has_the_table_of_reasons() {
    crate::manual::check_part("docs/operations.md", "reasons", &reference());
}

#[test]
fn what_restrains_the_process_is_named() {
    let peer = mpc_core::PartyIndex::new(1);
    let of = |restraint: Restraint| with_node(|node| node.restraints = vec![(restraint, "what is wrong".to_owned())]);
    assert_eq!(of(Restraint::NoLease { have: 1, need: 2 }), ["no_lease"]);
    assert_eq!(of(Restraint::Unknown { unheard: vec![peer] }), ["waits_for_peer_or_vouch"]);
    assert_eq!(of(Restraint::Refused { by: peer, reason: crate::lease::Refusal::RolledBack }), ["refused_by_peer"]);
    assert_eq!(of(Restraint::KeepsOut { unheard: vec![peer] }), ["keeps_out"]);
    assert_eq!(of(Restraint::Forgot { open: 1 }), ["forgot"]);
    assert_eq!(of(Restraint::Blind { chain: "zenrock".to_owned() }), ["blind"]);
    let restore = "8000-0000-0000-0001".to_owned();
    assert_eq!(of(Restraint::Consents { have: 1, need: 2, restore: restore.clone() }), ["restored"]);
    assert_eq!(with_node(|node| node.asking = vec![("bravo".to_owned(), restore)]), ["peer_restored"]);
    assert_eq!(with_node(|node| node.twins = vec!["bravo".to_owned()]), ["peer_twins"]);
    assert_eq!(with_node(|node| node.fenced = vec!["bravo".to_owned()]), ["peer_fenced"]);
}
