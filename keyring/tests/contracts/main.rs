//! What contracts ask, answered by nodes: no sockets, no chain. The contract's own rules judge the answers.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

mod crashes;
mod rebase;
mod simple;
#[path = "../support/cluster.rs"]
mod support;

use alloy_primitives::{Address, B256, Bytes, U256, address, b256, keccak256};
use chain_client::Height;
use chain_client::zrsign::authorisation;
use chain_client::zrsign::event::{KeyAsked, SignatureAsked, SignatureKind};
use chain_client::zrsign::name::{LogPlace, Proxy, Slot, TraceName, WalletKind};
use chain_client::zrsign::range::Mark;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use keyring::contract::{self, Asked, Told};
use keyring::decree::DecreeId;
use keyring::lease::Remembered;
use keyring::node::{ContractNews, Event, Level, Order, Said, Span};
use keyring::request::{RequestRecord, State};
use keyring::sender::{AccountLook, ContractLook, Look, RequestLook, RequestState, Sight, Simulated};
use keyring::store::{Store as _, Table};
use mpc_core::PartyIndex;
use support::Cluster;

const PROXY: Proxy = Proxy { chain: 31_337, address: address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0") };
const OTHER: Proxy = Proxy { chain: 31_338, address: address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0") };
const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
const SOURCE: B256 = b256!("afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7");

/// A contract's chain of which each span is one block.
struct Contract {
    proxy: Proxy,
    mark: Mark,
    /// Where the next span ends, if it has more than one block.
    reach: Option<Mark>,
    /// Everything that was said.
    told: Vec<Span>,
}

impl Contract {
    fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            mark: Mark { height: 10, hash: keccak256([10]), next_trace: U256::ZERO },
            reach: None,
            told: Vec::new(),
        }
    }

    /// The next span ends here.
    fn next_is(&mut self, reach: Mark) {
        self.reach = Some(reach);
    }

    fn next(&self) -> LogPlace {
        LogPlace { height: self.mark.height + 1, block: keccak256([self.mark.height as u8 + 1]), index: 0 }
    }

    fn slot(&self, kind: WalletKind, index: u64) -> Slot {
        Slot { proxy: self.proxy, kind, owner: USER, index: U256::from(index) }
    }

    fn key(&self, kind: WalletKind, index: u64) -> Asked {
        Asked::Key { asked: KeyAsked { slot: self.slot(kind, index), at: self.next() }, options: 1 }
    }

    fn hash(&self, kind: WalletKind, trace: u64, payload: &[u8]) -> Asked {
        Asked::Signature(Box::new(SignatureAsked {
            name: TraceName { proxy: self.proxy, trace: U256::from(trace), at: self.next() },
            wallet: self.slot(kind, 0),
            destination: B256::ZERO,
            payload: Bytes::copy_from_slice(payload),
            kind: SignatureKind::Hash,
            broadcast: false,
        }))
    }

    /// The next span, as all parties read it.
    fn says(&mut self, cluster: &mut Cluster, said: Vec<Said>) {
        let all: Vec<u16> = (0..cluster.parties.len() as u16).collect();
        self.says_to(cluster, &all, said);
    }

    fn says_to(&mut self, cluster: &mut Cluster, to_parties: &[u16], said: Vec<Said>) {
        let at = self.next();
        let next = Mark { height: at.height, hash: at.block, next_trace: self.mark.next_trace };
        let to = self.reach.take().unwrap_or(next);
        let span = Span { from: self.mark, to, source: Some(SOURCE), said };
        self.mark = to;
        self.told.push(span.clone());
        let chain = contract::chain_of(self.proxy.chain);
        let news = ContractNews::Final { height: Height(to.height), hash: to.hash.0 };
        for party in to_parties.iter().copied().map(PartyIndex::new) {
            cluster.tell(party, Event::Contract(chain.clone(), news.clone()));
            cluster.tell(party, Event::Contract(chain.clone(), ContractNews::Span(Box::new(span.clone()))));
        }
        cluster.settle();
    }
}

/// A key that somebody else's wallet is asked for.
fn owned_key(contract: &Contract, owner: Address, index: u64) -> Asked {
    let slot = Slot { owner, ..contract.slot(WalletKind::Evm, 0) };
    Asked::Key { asked: KeyAsked { slot, at: LogPlace { index, ..contract.next() } }, options: 1 }
}

/// What the shell says when it finds the contract closed, or open.
fn closing(why: Option<&str>) -> ContractNews {
    why.map_or(ContractNews::Opened, |why| ContractNews::Closed { mark: None, why: why.to_owned() })
}

fn chain() -> String {
    contract::chain_of(PROXY.chain)
}

fn one(cluster: &Cluster, decree: &DecreeId, knowing: usize) -> Vec<u8> {
    let answers = cluster.answers(decree);
    assert_eq!(answers.len(), knowing, "parties that know the decision on {decree}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    answers[0].clone()
}

fn record(cluster: &Cluster, party: usize, decree: &DecreeId) -> Option<RequestRecord> {
    let bytes = cluster.parties[party].store.read(Table::Request, &decree.to_bytes()).unwrap()?;
    Some(postcard::from_bytes(&bytes).unwrap())
}

/// The address that the contract recovers from an authorisation.
fn authoriser(told: &Told, authorisation: &[u8]) -> VerifyingKey {
    let digest = told.digest(SOURCE);
    let signature = Signature::from_slice(&authorisation[..64]).unwrap();
    assert!(signature.normalize_s().is_none(), "s lies in the lower half");
    VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, RecoveryId::from_byte(authorisation[64]).unwrap())
        .unwrap()
}

#[test]
fn a_key_and_a_hash_are_answered_and_admitted_by_the_controller_key() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let controller = one(&cluster, &contract::controller_of(PROXY), 3);
    let mut contract = Contract::new(PROXY);
    for kind in WalletKind::ALL {
        let key = contract.key(kind, 0);
        contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
        let decree = key.decree().unwrap();
        let public = one(&cluster, &decree, 3);
        assert_ne!(public, controller, "the controller key is nobody's wallet");
        let told = key.told(&public, &[]).unwrap();
        let form = one(&cluster, &contract::authorisation_of(&decree), 3);
        assert_eq!(authoriser(&told, &form).to_sec1_bytes().as_ref(), controller.as_slice());
        contract.says(
            &mut cluster,
            vec![Said::KeyFilled(contract.slot(kind, 0), contract::address_of(kind, &public).unwrap())],
        );
        assert_eq!(record(&cluster, 0, &decree).unwrap().state, State::Settled);

        let payload = [kind.coin() as u8 + 1; 32];
        let hash = contract.hash(kind, kind.coin(), &payload);
        contract.says(&mut cluster, vec![Said::Asked(hash.clone(), true)]);
        let decree = hash.decree().unwrap();
        let signature = one(&cluster, &decree, 3);
        assert!(signature.len() == 65 && signature[64] <= 1, "r, s and a recovery byte of 0 or 1");
        let by = VerifyingKey::recover_from_prehash(
            &payload,
            &Signature::from_slice(&signature[..64]).unwrap(),
            RecoveryId::from_byte(signature[64]).unwrap(),
        );
        assert_eq!(by.unwrap().to_sec1_bytes().as_ref(), public.as_slice());
        let told = hash.told(&signature, &payload).unwrap();
        let form = one(&cluster, &contract::authorisation_of(&decree), 3);
        assert_eq!(authoriser(&told, &form).to_sec1_bytes().as_ref(), controller.as_slice());
        let key = VerifyingKey::from_sec1_bytes(&controller).unwrap();
        assert!(authorisation::canonical(&form, told.digest(SOURCE), &key).is_ok());
        contract.says(
            &mut cluster,
            vec![Said::Answered { trace: kind.coin(), signature, meta_data: payload.to_vec(), broadcast: false }],
        );
        for decree in [&decree, &contract::authorisation_of(&decree)] {
            assert_eq!(record(&cluster, 1, decree).unwrap().state, State::Settled);
        }
    }
    assert_eq!(cluster.parties[0].node.live().count(), 0);
}

/// Nothing is asked at a start before all are there; here the contract asks in that very moment.
#[test]
fn what_was_asked_before_there_was_a_controller_key_is_authorised_when_there_is_one() {
    let mut cluster = Cluster::before_anything(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    // Told at once, behind the links in the same queue.
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    one(&cluster, &contract::controller_of(PROXY), 3);
    one(&cluster, &contract::authorisation_of(&key.decree().unwrap()), 3);
}

#[test]
fn each_contract_has_a_controller_key_of_its_own() {
    let cluster = Cluster::with(2, 3, &[PROXY, OTHER]);
    let keys = [PROXY, OTHER].map(|proxy| one(&cluster, &contract::controller_of(proxy), 3));
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_second_request_for_an_open_slot_is_noted_and_never_answered() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let first = contract.key(WalletKind::Evm, 0);
    let second = match contract.key(WalletKind::Evm, 0) {
        Asked::Key { asked, options } => {
            let at = LogPlace { index: 1, ..asked.at };
            Asked::Key { asked: KeyAsked { at, ..asked }, options }
        }
        Asked::Signature(_) => unreachable!(),
    };
    contract.says(&mut cluster, vec![Said::Asked(first.clone(), true), Said::Asked(second.clone(), true)]);
    one(&cluster, &first.decree().unwrap(), 3);
    assert!(cluster.answers(&second.decree().unwrap()).is_empty());
    assert!(record(&cluster, 0, &second.decree().unwrap()).is_none());
}

#[test]
fn one_trace_number_in_two_blocks_is_two_requests() {
    let contract = Contract::new(PROXY);
    let one = contract.hash(WalletKind::Evm, 5, &[1; 32]);
    let moved = |change: fn(&mut LogPlace)| match contract.hash(WalletKind::Evm, 5, &[1; 32]) {
        Asked::Signature(mut asked) => {
            change(&mut asked.name.at);
            Asked::Signature(asked).decree().unwrap()
        }
        Asked::Key { .. } => unreachable!(),
    };
    let named = one.decree().unwrap();
    assert_eq!(moved(|_| ()), named);
    for other in [moved(|at| at.block = B256::ZERO), moved(|at| at.index = 1), moved(|at| at.height += 1)] {
        assert_ne!(other, named);
        assert_ne!(contract::authorisation_of(&other), contract::authorisation_of(&named));
    }
}

#[test]
fn what_can_never_be_signed_is_closed_with_its_reason_and_the_next_is_served() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key, true)]);
    let asked = |trace: u64, change: &dyn Fn(&mut SignatureAsked)| match contract.hash(WalletKind::Evm, trace, &[9; 32])
    {
        Asked::Signature(mut asked) => {
            change(&mut asked);
            asked.name.at.index = trace;
            Asked::Signature(asked)
        }
        Asked::Key { .. } => unreachable!(),
    };
    let bad: Vec<(Asked, &str)> = vec![
        (asked(0, &|asked| asked.payload = Bytes::from_static(&[1; 31])), "32"),
        (asked(1, &|asked| asked.broadcast = true), "broadcast"),
        (asked(2, &|asked| asked.wallet.index = U256::from(7)), "not one that this keyring made"),
        (asked(3, &|asked| asked.kind = SignatureKind::Transaction), "destination"),
    ];
    let good = asked(4, &|_| ());
    let at = contract.next();
    let mut said: Vec<Said> = bad.iter().map(|(asked, _)| Said::Asked(asked.clone(), true)).collect();
    said.push(Said::Unreadable { trace: 5, at, why: "request type 9 is none of the contract's".to_owned() });
    said.push(Said::Asked(good.clone(), true));
    contract.says(&mut cluster, said);
    for (asked, word) in &bad {
        let decree = asked.decree().unwrap();
        assert!(cluster.answers(&decree).is_empty());
        let record = record(&cluster, 2, &decree).unwrap();
        assert!(matches!(record.state, State::Unanswerable(_)), "{:?}", record.state);
        assert!(record.note.contains(word), "{} names {word}", record.note);
    }
    let unreadable = record(&cluster, 0, &contract::unreadable_at(PROXY, 5, at)).unwrap();
    assert!(unreadable.note.contains("type 9"));
    one(&cluster, &contract::authorisation_of(&good.decree().unwrap()), 3);
}

#[test]
fn an_answer_that_is_not_ours_raises_an_alarm_and_ends_the_request() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    let stranger = "0x1563915e194D8CfBA1943570603F7606A3115508".to_owned();
    contract.says(&mut cluster, vec![Said::KeyFilled(contract.slot(WalletKind::Evm, 0), stranger)]);
    let record = record(&cluster, 0, &key.decree().unwrap()).unwrap();
    assert_eq!(record.state, State::Moot);
    assert!(record.note.contains("another answer"), "{}", record.note);
}

#[test]
fn a_party_that_reads_late_learns_the_key_and_signs_with_it() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let (key, slot) = (contract.key(WalletKind::Evm, 0), contract.slot(WalletKind::Evm, 0));
    let decree = key.decree().unwrap();
    let before = contract.mark;
    contract.says_to(&mut cluster, &[0, 1], vec![Said::Asked(key.clone(), true)]);
    let public = one(&cluster, &decree, 2);
    let filled = Said::KeyFilled(slot, contract::address_of(slot.kind, &public).unwrap());
    contract.says_to(&mut cluster, &[0, 1], vec![filled.clone()]);
    let (after, hash) = (contract.mark, contract.hash(WalletKind::Evm, 0, &[3; 32]));
    // The third party reads all of it in one span that ends after the answer.
    contract.mark = Mark { hash: after.hash, ..after };
    let span = Span { from: before, to: after, source: Some(SOURCE), said: vec![Said::Asked(key, false), filled] };
    cluster.tell(PartyIndex::new(2), Event::Contract(chain(), ContractNews::Span(Box::new(span))));
    cluster.settle();
    assert_eq!(one(&cluster, &decree, 3), public);
    contract.says(&mut cluster, vec![Said::Asked(hash.clone(), true)]);
    one(&cluster, &contract::authorisation_of(&hash.decree().unwrap()), 3);
    assert!(record(&cluster, 2, &contract::authorisation_of(&decree)).is_none(), "nothing is left to authorise");
}

#[test]
fn a_request_by_a_wallet_whose_key_is_not_known_yet_waits_for_it() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    let hash = contract.hash(WalletKind::Evm, 0, &[3; 32]);
    // In one span: the key's decree has only begun when the signature is asked for.
    contract.says(&mut cluster, vec![Said::Asked(key, true), Said::Asked(hash.clone(), true)]);
    one(&cluster, &contract::authorisation_of(&hash.decree().unwrap()), 3);
}

/// Where an endpoint's logs are not proven, a lie is found by the others' word alone.
#[test]
fn a_party_that_was_shown_another_payload_joins_nothing_and_says_so() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key, true)]);
    let [truth, lie] = [[3; 32], [4; 32]].map(|payload| contract.hash(WalletKind::Evm, 0, &payload));
    let decree = truth.decree().unwrap();
    assert_eq!(lie.decree().unwrap(), decree, "no payload is in a name");
    let at = contract.next();
    let to = Mark { height: at.height, hash: at.block, next_trace: U256::ZERO };
    let span = Span { from: contract.mark, to, source: Some(SOURCE), said: vec![Said::Asked(lie, true)] };
    cluster.tell(PartyIndex::new(2), Event::Contract(chain(), ContractNews::Span(Box::new(span))));
    contract.says_to(&mut cluster, &[0, 1], vec![Said::Asked(truth, true)]);
    one(&cluster, &decree, 2);
    let bytes = cluster.parties[2].store.read(Table::Decree, &decree.to_bytes()).unwrap();
    let own = bytes.map(|bytes| keyring::agreement::Record::decode(&bytes).unwrap()).unwrap_or_default();
    assert!(own.joined.is_none() && own.accepted.is_none(), "{own:?}");
    let note = record(&cluster, 2, &decree).unwrap().note;
    assert!(note.contains("reads another request under this name"), "{note}");
}

/// Anybody may ask for any owner; the contract takes no answer for the zero address.
#[test]
fn a_key_for_the_zero_address_is_closed_with_its_reason_and_holds_no_place() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = owned_key(&contract, Address::ZERO, 0);
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    let decree = key.decree().unwrap();
    assert!(cluster.answers(&decree).is_empty());
    let record = record(&cluster, 1, &decree).unwrap();
    assert!(matches!(record.state, State::Unanswerable(_)), "{:?}", record.state);
    assert!(record.note.contains("zero address"), "{}", record.note);
    assert_eq!(cluster.parties[1].node.live().count(), 0);
}

#[test]
fn a_contract_whose_own_requests_hold_all_places_says_so_and_takes_none_from_another() {
    let mut cluster = Cluster::with(2, 3, &[PROXY, OTHER]);
    let (mut full, mut other) = (Contract::new(OTHER), Contract::new(PROXY));
    let (chain, full_chain) = (chain(), contract::chain_of(OTHER.chain));
    let shown = |cluster: &Cluster, chain: &str| {
        let shown = cluster.parties[0].node.contract(chain).unwrap();
        (shown.mark, shown.is_full)
    };
    let four = |contract: &Contract, first: u8| {
        let keys = (first..first + 4).map(|owner| owned_key(contract, Address::with_last_byte(owner), owner.into()));
        keys.map(|key| Said::Asked(key, true)).collect::<Vec<_>>()
    };
    // No answer is ever delivered, so every place stays taken.
    let mut taken = full.mark;
    for first in (1..100).step_by(4) {
        let asked = four(&full, first);
        full.says(&mut cluster, asked);
        if shown(&cluster, &full_chain).1 {
            break;
        }
        taken = full.mark;
    }
    assert_eq!(shown(&cluster, &full_chain), (Some(taken), true), "the span is read again when there is room");
    let asked = four(&other, 1);
    let first = match &asked[0] {
        Said::Asked(key, _) => key.decree().unwrap(),
        _ => unreachable!(),
    };
    other.says(&mut cluster, asked);
    assert_eq!(shown(&cluster, &chain), (Some(other.mark), false));
    assert!(record(&cluster, 0, &first).is_some());
}

/// What is old for a process that begins anew is what its peers have seen; they forget no height.
#[test]
fn a_height_that_nothing_leads_to_makes_nothing_old() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    contract.says(&mut cluster, Vec::new());
    let invented = ContractNews::Final { height: Height(1_000_000_000_000), hash: [7; 32] };
    cluster.tell_all(|| Event::Contract(chain(), invented.clone()));
    cluster.settle();
    let seen = |cluster: &Cluster| cluster.parties[0].node.contract(&chain()).unwrap().height;
    assert_eq!(seen(&cluster), Height(1_000_000_000_000));
    contract.says(&mut cluster, Vec::new());
    assert_eq!(seen(&cluster), Height(contract.mark.height), "what was invented does not stay");
    // The lease's memory is written beside whatever is written next: here, a request and what follows from it.
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key, true)]);
    contract.says(&mut cluster, Vec::new());
    let bytes = cluster.parties[0].store.read(Table::Meta, b"lease").unwrap().unwrap();
    let remembered: Remembered = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(remembered.heights.get(&chain()), Some(&contract.mark.height));
}

#[test]
fn a_span_that_does_not_follow_the_last_is_not_taken() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    contract.says(&mut cluster, Vec::new());
    let mark = cluster.parties[0].node.contract("eip155:31337").unwrap().mark;
    assert_eq!(mark, Some(contract.mark));
    let key = contract.key(WalletKind::Evm, 0);
    contract.mark.hash = B256::ZERO;
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    assert!(record(&cluster, 0, &key.decree().unwrap()).is_none());
    assert_eq!(cluster.parties[0].node.contract("eip155:31337").unwrap().mark, mark);
}

#[test]
fn while_a_contract_is_closed_nothing_is_decided_and_then_everything_is() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key, true)]);
    let closed = |why| Event::Contract(chain(), closing(why));
    let hash = contract.hash(WalletKind::Evm, 0, &[3; 32]);
    let (decree, before) = (hash.decree().unwrap(), contract.mark);
    cluster.tell_all(|| closed(Some("it runs code that is not listed")));
    contract.says(&mut cluster, vec![Said::Asked(hash.clone(), true)]);
    assert!(cluster.answers(&decree).is_empty());
    assert_eq!(cluster.parties[0].node.contract(&chain()).unwrap().mark, Some(before), "the span was not taken");
    cluster.tell_all(|| closed(None));
    contract.mark = before;
    contract.says(&mut cluster, vec![Said::Asked(hash, true)]);
    one(&cluster, &contract::authorisation_of(&decree), 3);
}

#[test]
fn a_contract_that_closes_while_a_request_is_open_stops_it_until_it_opens() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    let decree = key.decree().unwrap();
    let closed = |why| Event::Contract(chain(), closing(why));
    let at = contract.next();
    let span = Span {
        from: contract.mark,
        to: Mark { height: at.height, hash: at.block, next_trace: U256::ZERO },
        source: Some(SOURCE),
        said: vec![Said::Asked(key, true)],
    };
    // Both in one go: the request has only begun when the chain is found to have taken a final block back.
    cluster.tell_all(|| Event::Contract(chain(), ContractNews::Span(Box::new(span.clone()))));
    cluster.tell_all(|| closed(Some("another block stands where a final one stood")));
    cluster.settle();
    assert!(cluster.answers(&contract::authorisation_of(&decree)).is_empty());
    cluster.tell_all(|| closed(None));
    cluster.settle();
    one(&cluster, &contract::authorisation_of(&decree), 3);
}

/// The parties of this support have no account keys, and where gas costs nothing every bound lets an answer pass.
#[test]
fn an_answer_that_the_key_of_the_account_does_not_sign_is_not_sent_and_raises_an_alarm() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    let authorisation = contract::authorisation_of(&key.decree().unwrap());
    one(&cluster, &authorisation, 3);
    let account = AccountLook { balance: 0, nonce: 4, final_nonce: 4 };
    let head = Height(20);
    let sight = Sight { head, timestamp: 1, base_fee: 0, finality: head, account };
    let look = Look {
        sight,
        contract: ContractLook { paused: false, listed: true, response_gas: 200_000 },
        request: RequestLook { at_head: RequestState::Open, at_final: RequestState::Open, value: 0 },
        receipts: Vec::new(),
    };
    let now = cluster.now;
    // Whose turn it is not yet asks for nothing; the first of the order does.
    let mut alarms = Vec::new();
    for party in &mut cluster.parties {
        let mut told = |news| {
            party.node.on(now, Event::Contract(chain(), news));
            party.node.take_effects().orders
        };
        told(ContractNews::Head(head));
        let orders = told(ContractNews::Look(authorisation.clone(), Box::new(look.clone())));
        let call = orders.into_iter().find_map(|order| match order {
            Order::Simulate { call, .. } => Some(call),
            _ => None,
        });
        let Some(call) = call else { continue };
        let orders = told(ContractNews::Simulated(authorisation.clone(), call, Simulated::Passed));
        assert!(!orders.iter().any(|order| matches!(order, Order::Send(..))), "{orders:?}");
        alarms.extend(orders.into_iter().filter_map(|order| match order {
            Order::Note(note) if note.level == Level::Alarm => Some(note.text),
            _ => None,
        }));
        assert_eq!(party.node.sender(&chain()).unwrap().facts().nonce, Some(4), "the nonce is the next answer's");
    }
    assert!(!alarms.is_empty(), "somebody's turn had come");
    assert!(alarms.iter().all(|text| text.contains("gives no signature")), "{alarms:?}");
}
