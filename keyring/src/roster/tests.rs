use super::*;
use crate::identity::NodeIdentity;
use zeroize::Zeroizing;

fn identities(count: u8) -> Vec<NodeIdentity> {
    (1..=count).map(|place| NodeIdentity::from_seed(&Zeroizing::new([place; 32]))).collect()
}

fn entry(place: usize, identity: &NodeIdentity) -> RosterEntry {
    RosterEntry {
        name: format!("party-{place}"),
        node_key: identity.public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 4000 + place)],
        accounts: BTreeMap::from([("zenrock".to_owned(), format!("zen1party{place}"))]),
    }
}

fn signed(need: u16, count: u8) -> RosterFile {
    let identities = identities(count);
    let mut file = RosterFile::new(7, need, identities.iter().enumerate().map(|(place, it)| entry(place, it)));
    for identity in &identities {
        file.sign(identity).unwrap();
    }
    file
}

#[test]
fn a_signed_roster_survives_its_file() {
    let file = signed(2, 3);
    let roster = Roster::parse(&file.to_toml().unwrap()).unwrap();
    assert_eq!(roster, file.verify().unwrap());
    assert_eq!((roster.epoch(), roster.threshold().need(), roster.threshold().of()), (7, 2, 3));
    let second = PartyIndex::new(1);
    assert_eq!(roster.index_of(&roster.node_key(second).unwrap()), Some(second));
    assert_eq!(roster.index_of_account("zenrock", "zen1party1"), Some(second));
    assert_eq!(roster.index_of(&[0; 32]), None);
    assert!(matches!(roster.own_place(&[0; 32]), Err(RosterError::Stranger { .. })));
}

#[test]
fn any_change_after_signing_is_refused() {
    let changes: [fn(&mut RosterFile); 9] = [
        |file| file.epoch += 1,
        |file| file.need = 3,
        |file| file.parties.swap(0, 1),
        |file| file.parties[0].name = "other".to_owned(),
        |file| file.parties[0].addresses.push("/ip4/10.0.0.1/tcp/1".to_owned()),
        |file| drop(file.parties[0].accounts.insert("zenrock".to_owned(), "zen1thief".to_owned())),
        |file| file.parties[0].node_key = hex::encode(identities(9)[8].public()),
        |file| file.parties[0].signature.clear(),
        |file| file.contracts.push(format!("eip155:1/{}", alloy_primitives::Address::ZERO)),
    ];
    for (place, change) in changes.iter().enumerate() {
        let mut file = signed(2, 3);
        assert!(file.verify().is_ok());
        change(&mut file);
        assert!(matches!(file.verify(), Err(RosterError::Signature { .. })), "change {place}");
    }
}

#[test]
fn an_exchanged_party_cannot_keep_the_others_signatures() {
    let mut file = signed(2, 3);
    let intruder = &identities(9)[8];
    file.parties[2].node_key = hex::encode(intruder.public());
    file.sign(intruder).unwrap();
    assert_eq!(file.unsigned().unwrap(), ["party-0", "party-1"]);
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    for (need, count) in [(0, 3), (1, 3), (4, 3), (2, 1), (2, 65)] {
        let identities = identities(count);
        let file = RosterFile::new(1, need, identities.iter().enumerate().map(|(place, it)| entry(place, it)));
        assert!(matches!(file.verify(), Err(RosterError::Threshold { .. })), "{need} of {count}");
    }
    let mut short = signed(2, 3);
    short.parties.pop();
    assert!(matches!(short.verify(), Err(RosterError::Threshold { .. })));
    assert!(signed(64, 64).verify().is_ok());
}

#[test]
fn two_parties_never_share_a_name_a_key_or_an_account() {
    let clashes: [fn(&mut RosterFile); 3] = [
        |file| file.parties[1].name = file.parties[0].name.clone(),
        |file| file.parties[1].node_key = file.parties[0].node_key.clone(),
        |file| file.parties[1].accounts = file.parties[0].accounts.clone(),
    ];
    for clash in clashes {
        let mut file = signed(2, 3);
        clash(&mut file);
        assert!(matches!(file.verify(), Err(RosterError::Entry { .. })));
    }
}

#[test]
fn unknown_fields_are_refused() {
    let text = signed(2, 3).to_toml().unwrap();
    assert!(matches!(Roster::parse(&format!("trust_me = true\n{text}")), Err(RosterError::Parse(_))));
}

#[test]
fn the_quorum_is_a_majority_and_at_least_the_threshold() {
    for (need, count, quorum) in [(2, 2, 2), (2, 3, 2), (2, 5, 3), (3, 5, 3), (5, 8, 5), (11, 16, 11), (22, 32, 22)] {
        assert_eq!(signed(need, count).verify().unwrap().quorum(), quorum, "{need} of {count}");
    }
}

#[test]
fn contracts_are_listed_in_one_order_and_one_on_a_chain() {
    let at = |chain: u64| format!("eip155:{chain}/0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
    let with = |contracts: Vec<String>| RosterFile { contracts, ..signed(2, 3) }.digest();
    assert!(with(vec![at(1), at(31_337)]).is_ok());
    for odd in [vec![at(31_337), at(1)], vec![at(1), at(1)], vec![at(1).to_lowercase()], vec!["eip155:1".to_owned()]] {
        assert!(matches!(with(odd.clone()), Err(RosterError::Contract { .. })), "{odd:?}");
    }
    let many = (1..=17).map(at).collect();
    assert!(matches!(with(many), Err(RosterError::Contract { .. })));
}
