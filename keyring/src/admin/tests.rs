use super::proto::{
    Key, KeysReply, KeysRequest, Request, RequestsReply, StatusReply, StatusRequest, WhyReply, WhyRequest,
};
use super::*;
use hyper_util::rt::TokioIo;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A node that says what it was asked.
struct Parrot;

#[async_trait]
impl Facts for Parrot {
    async fn is_ready(&self) -> bool {
        true
    }

    async fn status(&self) -> Option<StatusReply> {
        Some(StatusReply { name: "alpha".to_owned(), ready: true, ..StatusReply::default() })
    }

    async fn keys(&self, after: &str, limit: u32) -> Option<KeysReply> {
        Some(KeysReply { keys: vec![Key { id: format!("{after}/{limit}"), ..Key::default() }], more: false })
    }

    async fn requests(&self, _: &str, _: u32, _: bool) -> Option<RequestsReply> {
        None
    }

    async fn decide(&self, peer: &str, _: Word) -> Option<Result<(), String>> {
        Some(if peer == "beta" { Ok(()) } else { Err(format!("{peer} is no party")) })
    }

    async fn backup(&self) -> Option<BackupParts> {
        let (sender, parts) = tokio::sync::mpsc::channel(4);
        for part in [Ok(vec![1, 2]), Ok(vec![3]), Err("the disk is gone".to_owned())] {
            sender.send(part).await.unwrap();
        }
        Some(parts)
    }

    async fn why(&self, name: &str) -> Option<Option<WhyReply>> {
        let request = Request { name: name.to_owned(), ..Request::default() };
        Some((name == "known").then(|| WhyReply { request: Some(request), lines: Vec::new() }))
    }

    async fn resume_controller(&self, chain: &str, sequence: u64) -> Option<Result<(), String>> {
        Some(if sequence == 7 { Ok(()) } else { Err(format!("{chain} is elsewhere")) })
    }

    async fn rebase_contract(&self, chain: &str, height: u64) -> Option<Result<proto::RebaseContractReply, String>> {
        Some(if height == 7 { Ok(proto::RebaseContractReply::default()) } else { Err(format!("{chain} stands")) })
    }

    async fn release_nonce(&self, _: &str, trace: u64) -> Option<Result<proto::ReleaseNonceReply, String>> {
        Some(Ok(proto::ReleaseNonceReply { nonce: Some(trace) }))
    }
}

/// Serves a parrot while `asked` runs.
async fn with_node<T>(asked: impl AsyncFnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = Listener::bind(&path, 4).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = serve(listener, Arc::new(Parrot), async { drop(stopped.await) });
    let (served, answer) = tokio::join!(served, async {
        let answer = asked(&path).await;
        stop.send(()).unwrap();
        answer
    });
    served.unwrap();
    assert!(!path.exists(), "the socket's file goes with the node");
    answer
}

async fn channel(path: &Path) -> Channel {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    Endpoint::from_static("http://admin.invalid").connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn an_operator_gets_the_facts_and_clear_refusals() {
    with_node(async |path| {
        let mut client = connect(path).await.unwrap();
        assert_eq!(client.status(StatusRequest {}).await.unwrap().into_inner().name, "alpha");
        for (asked, given) in [(0, PAGE_DEFAULT), (7, 7), (1_000_000, PAGE_MAX)] {
            let page = client.keys(KeysRequest { after: "x".to_owned(), limit: asked }).await.unwrap().into_inner();
            assert_eq!(page.keys[0].id, format!("x/{given}"));
        }
        let ended = client.requests(proto::RequestsRequest::default()).await.unwrap_err();
        assert_eq!(ended.code(), tonic::Code::Unavailable);
        assert!(client.why(WhyRequest { name: "known".to_owned() }).await.is_ok());
        let unknown = client.why(WhyRequest { name: "unknown".to_owned() }).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
        let long = client.why(WhyRequest { name: "x".repeat(10_000) }).await.unwrap_err();
        assert_eq!(long.code(), tonic::Code::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn the_socket_is_private_and_says_whether_the_node_is_ready() {
    with_node(async |path| {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut health = HealthClient::new(channel(path).await);
        let asked = HealthCheckRequest { service: "keyring.admin.v1.Admin".to_owned() };
        let mut status = health.check(asked.clone()).await.map(|reply| reply.into_inner().status);
        for _ in 0..200 {
            if matches!(status, Ok(1)) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            status = health.check(asked.clone()).await.map(|reply| reply.into_inner().status);
        }
        assert_eq!(status.unwrap(), 1, "serving");
    })
    .await;
}

#[tokio::test]
async fn reflection_names_the_interface() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    with_node(async |path| {
        let request = tonic_reflection::pb::v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel(path).await);
        let mut replies = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
        let reply = replies.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(services)) = reply.message_response else {
            panic!("no list of services");
        };
        let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
        assert!(names.contains(&"keyring.admin.v1.Admin".to_owned()), "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn a_living_nodes_socket_is_never_taken_and_a_dead_ones_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let living = Listener::bind(&path, 4).unwrap();
    assert!(matches!(Listener::bind(&path, 4), Err(BindError::InUse { .. })));
    drop(living);

    // A dead process leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Listener::bind(&path, 4).unwrap());

    std::fs::write(&path, b"not a socket").unwrap();
    assert!(matches!(Listener::bind(&path, 4), Err(BindError::Occupied { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"not a socket");
}

#[tokio::test]
async fn asking_where_nobody_listens_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = connect(&folder.path().join("admin.sock")).await.unwrap_err();
    assert!(error.to_string().contains("keyringd run"), "{error}");
}

#[test]
fn the_json_form_holds_the_same_facts() {
    let key = Key { id: "ab".to_owned(), lane: 2, state: "free".to_owned(), ..Key::default() };
    let json = serde_json::to_value(&key).unwrap();
    assert_eq!((&json["id"], &json["lane"], &json["state"]), (&"ab".into(), &2.into(), &"free".into()));
}

#[tokio::test]
async fn a_command_is_done_or_says_why_not() {
    with_node(async |path| {
        let mut client = proto::admin_client::AdminClient::new(channel(path).await);
        let command = |sequence| proto::ResumeControllerRequest { chain: "zenrock".to_owned(), sequence };
        client.resume_controller(command(7)).await.unwrap();
        let refused = client.resume_controller(command(8)).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (tonic::Code::FailedPrecondition, "zenrock is elsewhere"));
    })
    .await;
}
