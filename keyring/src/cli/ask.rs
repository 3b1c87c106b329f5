//! `status`, `keys`, `requests`, `why`: questions to a running node over its admin socket.

use super::{say, table};
use crate::admin::connect;
use crate::admin::proto::admin_client::AdminClient;
use crate::admin::proto::{ConsentRequest, KeysRequest, PeerRequest, RequestsRequest, StatusRequest, WhyRequest};
use crate::config::Config;
use crate::report::Report;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use tonic::transport::Channel;

/// Whom to ask, and how to answer.
#[derive(Args, Clone, Debug)]
pub(super) struct AskArgs {
    /// The configuration file that names the admin socket.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KEYRINGD_CONFIG",
        default_value = "/etc/keyringd/keyringd.toml"
    )]
    config: PathBuf,
    /// The admin socket itself.
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The facts as JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

/// Which part of a long list.
#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Begin behind this one.
    #[arg(long, value_name = "NAME", default_value = "")]
    after: String,
    /// Most records.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
}

/// Which requests.
#[derive(Args, Clone, Debug)]
pub(super) struct RequestsArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Also those that have ended.
    #[arg(long)]
    ended: bool,
}

/// Which request.
#[derive(Args, Clone, Debug)]
pub(super) struct WhyArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// The request's name, as `requests` shows it.
    request: String,
}

/// The peers, or a word about one.
#[derive(Args, Clone, Debug)]
pub(super) struct PeersArgs {
    #[command(flatten)]
    ask: AskArgs,
    #[command(subcommand)]
    word: Option<PeerWord>,
}

/// What an operator may decide about a peer.
#[derive(Subcommand, Clone, Debug)]
enum PeerWord {
    /// Declare a silent peer dead: what only it could remember is waited for no longer. Be sure: were it alive, this
    /// party could contradict what it has said to it.
    Vouch {
        /// Its name in the roster.
        name: String,
    },
    /// Let a peer of which two live copies were seen be known again. First make sure that one of the two has been ended
    /// for good.
    Unfence {
        /// Its name in the roster.
        name: String,
    },
    /// Let a peer come back from a backup. First hear from its operator, by voice, that its disk is lost, that nothing else
    /// of that party will ever run again, and the name of the restore.
    Consent {
        /// Its name in the roster.
        name: String,
        /// The restore's name, as its operator reads it out.
        restore: String,
    },
}

pub(super) async fn peers(args: &PeersArgs) -> Result<(), Report> {
    let mut client = args.ask.client().await?;
    let done = match &args.word {
        None => {
            let reply = client.status(StatusRequest {}).await.map_err(|status| refused(&status))?;
            return args.ask.tell(&reply.get_ref().peers, |peers| table::peer_list(peers));
        }
        Some(PeerWord::Vouch { name }) => client.vouch(PeerRequest { name: name.clone() }).await,
        Some(PeerWord::Unfence { name }) => client.unfence(PeerRequest { name: name.clone() }).await,
        Some(PeerWord::Consent { name, restore }) => {
            client.consent(ConsentRequest { name: name.clone(), restore: restore.clone() }).await
        }
    };
    done.map_err(|status| refused(&status))?;
    say("done, and on record\n")
}

pub(super) async fn status(args: &AskArgs) -> Result<(), Report> {
    let reply = args.client().await?.status(StatusRequest {}).await.map_err(|status| refused(&status))?;
    args.tell(reply.get_ref(), table::status)
}

pub(super) async fn keys(args: &ListArgs) -> Result<(), Report> {
    let asked = KeysRequest { after: args.after.clone(), limit: args.limit };
    let reply = args.ask.client().await?.keys(asked).await.map_err(|status| refused(&status))?;
    args.ask.tell(reply.get_ref(), table::keys)
}

pub(super) async fn requests(args: &RequestsArgs) -> Result<(), Report> {
    let ListArgs { ask, after, limit } = &args.list;
    let asked = RequestsRequest { after: after.clone(), limit: *limit, ended: args.ended };
    let reply = ask.client().await?.requests(asked).await.map_err(|status| refused(&status))?;
    ask.tell(reply.get_ref(), table::requests)
}

pub(super) async fn why(args: &WhyArgs) -> Result<(), Report> {
    let asked = WhyRequest { name: args.request.clone() };
    let reply = args.ask.client().await?.why(asked).await.map_err(|status| refused(&status))?;
    args.ask.tell(reply.get_ref(), table::why)
}

impl AskArgs {
    pub(super) async fn client(&self) -> Result<AdminClient<Channel>, Report> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => Config::load(&self.config)?.node.admin_socket,
        };
        Ok(connect(&socket).await?)
    }

    fn tell<T: Serialize>(&self, facts: &T, table: impl Fn(&T) -> String) -> Result<(), Report> {
        if self.json { say(&(serde_json::to_string_pretty(facts)? + "\n")) } else { say(&table(facts)) }
    }
}

/// What the node said, without the wrapping of the protocol.
pub(super) fn refused(status: &tonic::Status) -> Report {
    format!("the node answers: {}", status.message()).into()
}
