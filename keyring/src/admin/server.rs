//! The node's side of the socket: facts in, replies out; health and reflection beside them.

use super::proto::admin_server::{Admin, AdminServer};
use super::proto::{
    BackupPart, BackupRequest, ConsentRequest, KeysReply, KeysRequest, PeerReply, PeerRequest, RebaseContractReply,
    RebaseContractRequest, ReleaseNonceReply, ReleaseNonceRequest, RequestsReply, RequestsRequest,
    ResumeControllerReply, ResumeControllerRequest, StatusReply, StatusRequest, WhyReply, WhyRequest,
};
use super::{DESCRIPTORS, Facts, Listener, page};
use crate::lease::restore_number;
use crate::node::Word;
use futures::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Longest time for one reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls at a time on one connection.
const CALLS_MAX: usize = 8;
/// How often the health service looks at the node.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest name that is looked up.
const NAME_BYTES_MAX: usize = 512;

struct Desk<F>(Arc<F>);

/// Serves until `stop` resolves, then lets open calls end.
///
/// # Errors
/// When the socket fails.
pub async fn serve<F: Facts>(
    listener: Listener,
    facts: Arc<F>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let incoming = futures::stream::unfold(&listener, |listener| async move {
        // An error of one connection ends that connection, not the interface.
        Some((listener.accept().await, listener))
    });
    let server = Server::builder()
        .timeout(CALL_TIMEOUT)
        .concurrency_limit_per_connection(CALLS_MAX)
        .add_service(AdminServer::new(Desk(Arc::clone(&facts))))
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, stop);
    tokio::select! {
        served = server => served.map_err(Into::into),
        // Never ends: the server's own end decides.
        never = watch_health(reporter, facts) => match never {},
    }
}

/// Tells gRPC's health service what the node says of itself.
async fn watch_health<F: Facts>(reporter: HealthReporter, facts: Arc<F>) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(HEALTH_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = if facts.is_ready().await { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", "keyring.admin.v1.Admin"] {
            reporter.set_service_status(service, status).await;
        }
    }
}

fn ended() -> Status {
    Status::unavailable("the node has ended or does not answer")
}

fn checked(name: String) -> Result<String, Status> {
    if name.len() > NAME_BYTES_MAX { Err(Status::invalid_argument("the name is too long")) } else { Ok(name) }
}

impl<F: Facts> Desk<F> {
    async fn decide(&self, name: String, word: Word) -> Result<Response<PeerReply>, Status> {
        let name = checked(name)?;
        match self.0.decide(&name, word).await.ok_or_else(ended)? {
            Ok(()) => Ok(Response::new(PeerReply {})),
            Err(why) => Err(Status::failed_precondition(why)),
        }
    }
}

#[tonic::async_trait]
impl<F: Facts> Admin for Desk<F> {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        self.0.status().await.map(Response::new).ok_or_else(ended)
    }

    async fn keys(&self, request: Request<KeysRequest>) -> Result<Response<KeysReply>, Status> {
        let KeysRequest { after, limit } = request.into_inner();
        self.0.keys(&checked(after)?, page(limit)).await.map(Response::new).ok_or_else(ended)
    }

    async fn requests(&self, request: Request<RequestsRequest>) -> Result<Response<RequestsReply>, Status> {
        let RequestsRequest { after, limit, ended: also_ended } = request.into_inner();
        self.0.requests(&checked(after)?, page(limit), also_ended).await.map(Response::new).ok_or_else(ended)
    }

    async fn vouch(&self, request: Request<PeerRequest>) -> Result<Response<PeerReply>, Status> {
        self.decide(request.into_inner().name, Word::Vouch).await
    }

    async fn unfence(&self, request: Request<PeerRequest>) -> Result<Response<PeerReply>, Status> {
        self.decide(request.into_inner().name, Word::Unfence).await
    }

    async fn consent(&self, request: Request<ConsentRequest>) -> Result<Response<PeerReply>, Status> {
        let ConsentRequest { name, restore } = request.into_inner();
        let Some(restore) = restore_number(&restore) else {
            return Err(Status::invalid_argument("a restore's name is four groups of four hexadecimal digits"));
        };
        self.decide(name, Word::Consent(restore)).await
    }

    type BackupStream = Pin<Box<dyn Stream<Item = Result<BackupPart, Status>> + Send>>;

    async fn backup(&self, _: Request<BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let parts = self.0.backup().await.ok_or_else(ended)?;
        let stream = futures::stream::unfold(parts, |mut parts| async move {
            let part = parts.recv().await?.map(|data| BackupPart { data }).map_err(Status::internal);
            Some((part, parts))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn why(&self, request: Request<WhyRequest>) -> Result<Response<WhyReply>, Status> {
        let name = checked(request.into_inner().name)?;
        let known = self.0.why(&name).await.ok_or_else(ended)?;
        known.map(Response::new).ok_or_else(|| Status::not_found(format!("no request {name:?} is known here")))
    }

    async fn resume_controller(
        &self,
        request: Request<ResumeControllerRequest>,
    ) -> Result<Response<ResumeControllerReply>, Status> {
        let ResumeControllerRequest { chain, sequence } = request.into_inner();
        let done = self.0.resume_controller(&checked(chain)?, sequence).await.ok_or_else(ended)?;
        done.map(|()| Response::new(ResumeControllerReply {})).map_err(Status::failed_precondition)
    }

    async fn rebase_contract(
        &self,
        request: Request<RebaseContractRequest>,
    ) -> Result<Response<RebaseContractReply>, Status> {
        let RebaseContractRequest { chain, height } = request.into_inner();
        let done = self.0.rebase_contract(&checked(chain)?, height).await.ok_or_else(ended)?;
        done.map(Response::new).map_err(Status::failed_precondition)
    }

    async fn release_nonce(
        &self,
        request: Request<ReleaseNonceRequest>,
    ) -> Result<Response<ReleaseNonceReply>, Status> {
        let ReleaseNonceRequest { chain, trace } = request.into_inner();
        let done = self.0.release_nonce(&checked(chain)?, trace).await.ok_or_else(ended)?;
        done.map(Response::new).map_err(Status::failed_precondition)
    }
}
