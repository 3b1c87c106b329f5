//! Code that the operators have not listed.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_provider::Provider as _;
use contracts::bindings::proxy::IZrProxy;

use crate::scene::{Scene, TERMS};
use crate::town::{NAME, Town};
use crate::world::{IMPLEMENTATION_SLOT, PROXY_ADMIN};

/// The proxy's admin puts other code behind it: the same and one byte more, so that all goes on as before. The hash of it.
async fn upgrade(town: &Town) -> B256 {
    let (world, forged) = (&town.world, Address::repeat_byte(0x66));
    let slot = world.storage(world.zr_sign, IMPLEMENTATION_SLOT.into()).await;
    let code = world.provider.get_code_at(Address::from_word(slot)).await.unwrap();
    let code: Bytes = [code.as_ref(), &[0]].concat().into();
    let hash = keccak256(&code);
    let _: () = world.rpc("anvil_setCode", (forged, code)).await;
    town.done(world.call(PROXY_ADMIN, &IZrProxy::upgradeToCall { newImplementation: forged })).await;
    assert_eq!(town.code().await, hash);
    hash
}

/// An operator adds a hash to the listed ones.
fn list(scene: &Scene, party: usize, hash: B256) {
    let path = scene.fleet.party_folder(party).join("keyringd.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let listed = config.replacen("code = [", &format!("code = [\"{hash}\", "), 1);
    assert_ne!(listed, config);
    std::fs::write(path, listed).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_forged_upgrade_nothing_is_answered_until_every_operator_has_listed_the_code() {
    let mut scene = Scene::with(TERMS).await;
    let wallet = scene.town.with_wallet().await;
    scene.serves(wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    let (sent, runs) = (scene.sent(), scene.fleet.signing_runs().await);

    let forged = upgrade(&scene.town).await;
    let hash = scene.new_hash();
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    for party in scene.parties() {
        let said = scene.says(party, "contract_closed").await;
        assert!(said.contains(NAME) && said.contains(&forged.to_string()), "party {party}: {said}");
        assert!(scene.alarms(party).await >= 1.0, "party {party}");
    }
    scene.all_look_again().await;
    assert!(scene.town.is_open(trace).await && scene.town.answers(trace).await.is_empty());
    assert_eq!((scene.sent(), scene.fleet.signing_runs().await), (sent, runs), "nothing is signed, nothing is sent");
    for party in scene.parties() {
        assert!(scene.record(party, trace).await.is_none(), "party {party}: nothing is decided");
    }

    for party in scene.parties() {
        scene.fleet.stop_party(party).await;
        list(&scene, party, forged);
        scene.fleet.start_party(party).await;
    }
    scene.town.answered(trace, hash, wallet).await;
    scene.rests().await;
    scene.serves(wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    scene.fleet.stop().await;
}
