//! The gRPC endpoints, as a client meets them: services, heights, reflection, faults, restarts.

#[path = "support/world.rs"]
mod support;

use std::time::Duration;

use chain_client::proto::cosmos::auth::v1beta1::query_client::QueryClient as AuthClient;
use chain_client::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest};
use chain_client::proto::cosmos::bank::v1beta1::QueryBalanceRequest;
use chain_client::proto::cosmos::bank::v1beta1::query_client::QueryClient as BankClient;
use chain_client::proto::cosmos::base::tendermint::v1beta1::service_client::ServiceClient as NodeClient;
use chain_client::proto::cosmos::base::tendermint::v1beta1::{
    GetBlockByHeightRequest, GetLatestBlockRequest, GetLatestValidatorSetRequest, GetNodeInfoRequest, GetSyncingRequest,
};
use chain_client::proto::cosmos::tx::v1beta1::service_client::ServiceClient as TxClient;
use chain_client::proto::cosmos::tx::v1beta1::{BroadcastMode, BroadcastTxRequest, GetTxRequest, SimulateRequest};
use chain_client::proto::zrchain::treasury::query_client::QueryClient as TreasuryClient;
use chain_client::proto::zrchain::treasury::{QueryKeyByIdRequest, QuerySignatureRequestsRequest};
use devnet::chain::{hash_of, hash_text};
use devnet::faults::{Faults, Lag, Times};
use devnet::server::{Devnet, Options};
use prost::Message;
use support::{RICH, Style, address, genesis, signed, transfer};
use tonic::transport::Channel;
use tonic::{Code, Request};

const PATIENCE: Duration = Duration::from_secs(20);
const HEIGHT: &str = "x-cosmos-block-height";

fn options() -> Options {
    Options { block_interval: Duration::from_millis(20), ..Options::default() }
}

async fn started(options: Options) -> Devnet {
    let devnet = Devnet::start(&genesis(), options).await.expect("starts");
    devnet.handle().wait_for_height(1, PATIENCE).await.expect("a block");
    devnet
}

async fn channel(devnet: &Devnet, endpoint: usize) -> Channel {
    let url = devnet.endpoints()[endpoint].url();
    Channel::from_shared(url).expect("url").connect().await.expect("connects")
}

fn broadcast(bytes: &[u8]) -> BroadcastTxRequest {
    BroadcastTxRequest { tx_bytes: bytes.to_vec(), mode: BroadcastMode::Sync.into() }
}

async fn sequence(channel: &Channel, name: &str) -> u64 {
    let asked = QueryAccountRequest { address: address(name) };
    let reply = AuthClient::new(channel.clone()).account(asked).await.expect("account").into_inner();
    let account = reply.account.expect("account");
    assert_eq!(account.type_url, "/cosmos.auth.v1beta1.BaseAccount");
    BaseAccount::decode(account.value.as_slice()).expect("account").sequence
}

#[tokio::test]
async fn a_transfer_is_broadcast_executed_and_found() {
    let devnet = started(options()).await;
    let channel = channel(&devnet, 0).await;
    let mut client = TxClient::new(channel.clone());
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &Style::default());
    let simulated = client.simulate(SimulateRequest { tx_bytes: bytes.clone(), ..Default::default() }).await;
    assert!(simulated.expect("simulates").into_inner().gas_info.expect("gas").gas_used > 40_000);
    let answer = client.broadcast_tx(broadcast(&bytes)).await.expect("broadcast").into_inner();
    assert_eq!(answer.tx_response.expect("response").code, 0);
    devnet.handle().wait_for_transaction(&hash_of(&bytes), PATIENCE).await.expect("executed");
    let found = client.get_tx(GetTxRequest { hash: hash_text(&hash_of(&bytes)) }).await.expect("found").into_inner();
    assert_eq!(found.tx_response.expect("response").code, 0);
    assert_eq!(sequence(&channel, "alice").await, 1);
    let asked = QueryBalanceRequest { address: address("bob"), denom: "urock".to_owned() };
    let balance = BankClient::new(channel).balance(asked).await.expect("balance").into_inner().balance;
    assert_eq!(balance.expect("balance").amount, (RICH + 5).to_string());
    let missing = client.get_tx(GetTxRequest { hash: "00".repeat(32) }).await.expect_err("not found");
    assert_eq!(missing.code(), Code::NotFound);
    devnet.stop().await;
}

#[tokio::test]
async fn replies_tell_their_height_and_reads_can_be_pinned() {
    let devnet = started(options()).await;
    devnet.handle().wait_for_height(5, PATIENCE).await.expect("blocks");
    let mut client = TreasuryClient::new(channel(&devnet, 0).await);
    let mut pinned = Request::new(QuerySignatureRequestsRequest::default());
    pinned.metadata_mut().insert(HEIGHT, "3".parse().expect("metadata"));
    let reply = client.signature_requests(pinned).await.expect("reply");
    assert_eq!(reply.metadata().get(HEIGHT).expect("height"), "3");
    let mut future = Request::new(QuerySignatureRequestsRequest::default());
    future.metadata_mut().insert(HEIGHT, "1000000".parse().expect("metadata"));
    assert_eq!(client.signature_requests(future).await.expect_err("future").code(), Code::Unknown);
    let mut junk = Request::new(QuerySignatureRequestsRequest::default());
    junk.metadata_mut().insert(HEIGHT, "soon".parse().expect("metadata"));
    assert_eq!(client.signature_requests(junk).await.expect_err("junk").code(), Code::InvalidArgument);
    let missing = QueryKeyByIdRequest { id: 999, ..Default::default() };
    let missing = client.key_by_id(missing).await.expect_err("not found");
    assert_eq!(missing.code(), Code::Unknown);
    assert_eq!(missing.message(), "codespace treasury code 1503: not found: key 999 not found");
    assert!(missing.metadata().contains_key(HEIGHT));
    devnet.stop().await;
}

#[tokio::test]
async fn the_node_tells_of_itself_and_its_blocks() {
    let devnet = started(options()).await;
    devnet.handle().wait_for_height(3, PATIENCE).await.expect("blocks");
    let mut client = NodeClient::new(channel(&devnet, 0).await);
    let info = client.get_node_info(GetNodeInfoRequest {}).await.expect("info").into_inner();
    assert_eq!(info.default_node_info.expect("info").network, support::CHAIN_ID);
    assert!(!client.get_syncing(GetSyncingRequest {}).await.expect("syncing").into_inner().syncing);
    let latest = client.get_latest_block(GetLatestBlockRequest {}).await.expect("block").into_inner();
    assert!(latest.sdk_block.expect("block").header.expect("header").height >= 3);
    let second = client.get_block_by_height(GetBlockByHeightRequest { height: 2 }).await.expect("block").into_inner();
    let third = client.get_block_by_height(GetBlockByHeightRequest { height: 3 }).await.expect("block").into_inner();
    let header = third.sdk_block.expect("block").header.expect("header");
    assert_eq!(header.last_block_id, second.block_id);
    assert_eq!(header.chain_id, support::CHAIN_ID);
    let set = client.get_latest_validator_set(GetLatestValidatorSetRequest::default()).await.expect("validators");
    assert_eq!(set.into_inner().validators.len(), 1);
    devnet.stop().await;
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let devnet = started(options()).await;
    let mut grpc = tonic::client::Grpc::new(channel(&devnet, 0).await);
    grpc.ready().await.expect("ready");
    let path = http::uri::PathAndQuery::from_static("/zrchain.treasury.Query/Nothing");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer: Result<tonic::Response<()>, _> = grpc.unary(Request::new(()), path, codec).await;
    assert_eq!(answer.expect_err("unknown").code(), Code::Unimplemented);
    devnet.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let devnet = started(options()).await;
    let channel = channel(&devnet, 0).await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let asked = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut replies = client.server_reflection_info(tokio_stream::once(asked)).await.expect("v1").into_inner();
    let reply = replies.message().await.expect("reply").expect("reply");
    assert!(format!("{reply:?}").contains("zrchain.treasury.Query"));
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let asked = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut replies = client.server_reflection_info(tokio_stream::once(asked)).await.expect("v1alpha").into_inner();
    let reply = replies.message().await.expect("reply").expect("reply");
    assert!(format!("{reply:?}").contains("cosmos.tx.v1beta1.Service"));
    devnet.stop().await;
}

#[tokio::test]
async fn a_lost_answer_was_executed_all_the_same() {
    let devnet = started(options()).await;
    let channel = channel(&devnet, 0).await;
    let mut client = TxClient::new(channel.clone());
    let faults = &devnet.endpoints()[0].faults;
    faults.set(Faults { lose_broadcast_answers: Times::Next(1), ..Faults::default() });
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &Style::default());
    assert_eq!(client.broadcast_tx(broadcast(&bytes)).await.expect_err("lost").code(), Code::Unavailable);
    assert_eq!(sequence(&channel, "alice").await, 1);
    let again = client.broadcast_tx(broadcast(&bytes)).await.expect("answer").into_inner();
    assert_eq!(again.tx_response.expect("response").code, 19, "the same bytes are recognised");
    devnet.stop().await;
}

#[tokio::test]
async fn a_failed_broadcast_reaches_nothing_and_a_doubled_one_counts_once() {
    let devnet = started(options()).await;
    let channel = channel(&devnet, 0).await;
    let mut client = TxClient::new(channel.clone());
    let faults = &devnet.endpoints()[0].faults;
    faults.set(Faults { fail_broadcasts: Times::Next(1), deliver_twice: Times::Next(1), ..Faults::default() });
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &Style::default());
    assert_eq!(client.broadcast_tx(broadcast(&bytes)).await.expect_err("failed").code(), Code::Unavailable);
    assert_eq!(sequence(&channel, "alice").await, 0);
    let answer = client.broadcast_tx(broadcast(&bytes)).await.expect("answer").into_inner();
    assert_eq!(answer.tx_response.expect("response").code, 19, "the second delivery's answer");
    devnet.handle().wait_for_transaction(&hash_of(&bytes), PATIENCE).await.expect("executed");
    assert_eq!(sequence(&channel, "alice").await, 1);
    devnet.stop().await;
}

#[tokio::test]
async fn what_a_cut_off_node_takes_never_lands() {
    let devnet = started(options()).await;
    let channel = channel(&devnet, 0).await;
    let mut client = TxClient::new(channel.clone());
    devnet.endpoints()[0].faults.set(Faults { swallow_broadcasts: Times::Next(1), ..Faults::default() });
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &Style::default());
    let answer = client.broadcast_tx(broadcast(&bytes)).await.expect("answer").into_inner();
    assert_eq!(answer.tx_response.expect("response").code, 0, "taken is no proof");
    let height = devnet.handle().height();
    devnet.handle().wait_for_height(height + 3, PATIENCE).await.expect("blocks");
    assert_eq!(sequence(&channel, "alice").await, 0);
    let again = client.broadcast_tx(broadcast(&bytes)).await.expect("answer").into_inner();
    assert_eq!(again.tx_response.expect("response").code, 0, "and it may come again");
    devnet.stop().await;
}

#[tokio::test]
async fn a_node_that_lags_takes_what_the_others_know_to_be_spent() {
    let two = vec!["127.0.0.1:0".parse().expect("address"); 2];
    let devnet = started(Options { endpoints: two, ..options() }).await;
    let send = |sequence, urock| signed("alice", sequence, vec![transfer("alice", "bob", urock)], &Style::default());
    let stuck_at = devnet.handle().height();
    devnet.endpoints()[1].faults.set(Faults { lag: Lag::StuckAt(stuck_at), ..Faults::default() });
    let mut fresh = TxClient::new(channel(&devnet, 0).await);
    let mut stuck = TxClient::new(channel(&devnet, 1).await);
    let code = |reply: tonic::Response<chain_client::proto::cosmos::tx::v1beta1::BroadcastTxResponse>| {
        reply.into_inner().tx_response.expect("response").code
    };
    let first = send(0, 1);
    assert_eq!(code(fresh.broadcast_tx(broadcast(&first)).await.expect("answer")), 0);
    devnet.handle().wait_for_transaction(&hash_of(&first), PATIENCE).await.expect("executed");
    let other = send(0, 2);
    assert_eq!(code(fresh.broadcast_tx(broadcast(&other)).await.expect("answer")), 32, "spent");
    assert_eq!(code(stuck.broadcast_tx(broadcast(&other)).await.expect("answer")), 0, "not spent as far as it knows");
    assert_eq!(code(stuck.broadcast_tx(broadcast(&other)).await.expect("answer")), 19);
    let next = send(1, 3);
    assert_eq!(code(stuck.broadcast_tx(broadcast(&next)).await.expect("answer")), 0, "on top of what it took");
    devnet.handle().wait_for_transaction(&hash_of(&next), PATIENCE).await.expect("the others had it from there");
    assert!(devnet.handle().view().transaction(&hash_of(&other)).is_none(), "what is spent never lands");
    devnet.stop().await;
}

#[tokio::test]
async fn the_command_serves_a_genesis_of_accounts_whose_keys_nobody_has() {
    let folder = tempfile::tempdir().expect("folder");
    let genesis = folder.path().join("genesis.json");
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain-client/tests/fixtures/zrchain/genesis.json");
    std::fs::copy(recorded, &genesis).expect("genesis");
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port");
    let args = devnet::chain_only::ChainOnlyArgs {
        genesis,
        grpc: vec![address],
        block_interval: Duration::from_millis(20),
        data: Some(folder.path().join("data")),
    };
    let mut command = tokio::task::JoinSet::new();
    command.spawn(devnet::chain_only::chain_only(args));
    let url = format!("http://{address}");
    let connect = async {
        loop {
            match Channel::from_shared(url.clone()).expect("url").connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let channel = tokio::time::timeout(PATIENCE, connect).await.expect("it listens");
    let asked = QueryBalanceRequest {
        address: "zen1mhy0fe2zr9gegp6wtg5qpakx8p85c6z87d4h3p".to_owned(),
        denom: "urock".to_owned(),
    };
    let balance = BankClient::new(channel).balance(asked).await.expect("balance").into_inner().balance;
    assert_eq!(balance.expect("balance").amount, "1");
    command.shutdown().await;
    assert!(folder.path().join("data/blocks.log").exists());
}

#[tokio::test]
async fn a_stalled_chain_is_freed_by_emptying_its_mempool() {
    let devnet = started(options()).await;
    let handle = devnet.handle();
    handle.halt();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let style = Style { timeout_height: handle.height(), ..Style::default() };
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &style);
    assert_eq!(handle.check_tx(&bytes).code, 0);
    handle.resume();
    let height = handle.height();
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(handle.height(), height, "no block can be made");
    handle.forget_mempool();
    handle.wait_for_height(height + 2, PATIENCE).await.expect("blocks again");
    devnet.stop().await;
}

#[tokio::test]
async fn endpoints_of_one_chain_may_show_different_heights() {
    let two = vec!["127.0.0.1:0".parse().expect("address"); 2];
    let devnet = started(Options { endpoints: two, ..options() }).await;
    devnet.handle().wait_for_height(10, PATIENCE).await.expect("blocks");
    devnet.endpoints()[1].faults.set(Faults { lag: Lag::StuckAt(4), ..Faults::default() });
    let mut stuck = NodeClient::new(channel(&devnet, 1).await);
    let mut fresh = NodeClient::new(channel(&devnet, 0).await);
    let height = |reply: chain_client::proto::cosmos::base::tendermint::v1beta1::GetLatestBlockResponse| {
        reply.sdk_block.expect("block").header.expect("header").height
    };
    assert_eq!(height(stuck.get_latest_block(GetLatestBlockRequest {}).await.expect("block").into_inner()), 4);
    assert!(height(fresh.get_latest_block(GetLatestBlockRequest {}).await.expect("block").into_inner()) >= 10);
    let mut future = Request::new(QueryAccountRequest { address: address("alice") });
    future.metadata_mut().insert(HEIGHT, "9".parse().expect("metadata"));
    let mut client = AuthClient::new(channel(&devnet, 1).await);
    assert_eq!(client.account(future).await.expect_err("not there yet").code(), Code::Unknown);
    devnet.stop().await;
}

#[tokio::test]
async fn a_halted_chain_makes_no_blocks_until_it_resumes() {
    let devnet = started(options()).await;
    let handle = devnet.handle();
    handle.halt();
    let height = handle.height();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(handle.height() <= height + 1, "at most the block that was being made");
    handle.resume();
    handle.wait_for_height(height + 3, PATIENCE).await.expect("blocks again");
    devnet.stop().await;
}

#[tokio::test]
async fn a_chain_on_disk_continues_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let on_disk = || Options { data: Some(folder.path().to_path_buf()), ..options() };
    let devnet = started(on_disk()).await;
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 5)], &Style::default());
    assert_eq!(devnet.handle().check_tx(&bytes).code, 0);
    devnet.handle().wait_for_transaction(&hash_of(&bytes), PATIENCE).await.expect("executed");
    let handle = devnet.handle();
    devnet.stop().await;
    let (height, hash) = (handle.height(), handle.view().last_hash());
    // A crash leaves a torn record at the end.
    let log = folder.path().join("blocks.log");
    let mut torn = std::fs::read(&log).expect("log");
    torn.extend([0, 0, 0, 9, 1, 2, 3]);
    std::fs::write(&log, torn).expect("log");

    let devnet = Devnet::start(&genesis(), on_disk()).await.expect("starts again");
    let view = devnet.handle().view();
    assert_eq!(view.block(height).expect("block").hash, hash);
    assert_eq!(view.transaction(&hash_of(&bytes)).expect("found").1.code, 0);
    assert_eq!(view.balance(&address("bob")), RICH + 5);
    devnet.handle().wait_for_height(height + 2, PATIENCE).await.expect("continues");
    devnet.stop().await;
    let mut other = genesis();
    other.chain_id = "another".to_owned();
    assert!(Devnet::start(&other, on_disk()).await.is_err(), "another genesis is refused");
}
