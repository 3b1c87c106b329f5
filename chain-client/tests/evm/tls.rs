//! Endpoints behind TLS: read under a root that the machine trusts, and under no other.
//!
//! Which roots a machine trusts is read from the environment, so the questions are asked by a child process: this test
//! once more, told what to do by variables.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use chain_client::zrsign::evm::{EvmChain, EvmError};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::bench::{AT_ONCE, quick};
use crate::node::CHAIN;
use crate::world::{Version, World};

/// What the child is told: the address, and whether it is to be trusted.
const ADDRESS: &str = "EVM_TLS_ADDRESS";
const TRUSTED: &str = "EVM_TLS_TRUSTED";

#[tokio::test]
async fn roots_decide_whom_to_believe() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return child(&address, &std::env::var(TRUSTED).unwrap()).await;
    }
    let world = World::bare(Version::Compatible).await;
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.key_pair.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), world.node.address));

    let by_name = format!("https://localhost:{port}/");
    ask(&by_name, &own.cert.pem(), "yes").await;
    ask(&by_name, &stranger.cert.pem(), "no").await;
    // The certificate is for a name, and this is another.
    ask(&format!("https://127.0.0.1:{port}/"), &own.cert.pem(), "no").await;
}

/// Ends TLS in front of a node.
async fn serve(listener: TcpListener, tls: TlsAcceptor, node: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let tls = tls.clone();
        connections.spawn(async move {
            let Ok(mut open) = tls.accept(stream).await else { return };
            let _ = copy_bidirectional(&mut open, &mut TcpStream::connect(node).await.unwrap()).await;
        });
    }
}

/// Runs the child under one root.
async fn ask(address: &str, root: &str, trusted: &str) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("root-{}-{trusted}.pem", std::process::id()));
    std::fs::write(&file, root).unwrap();
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::roots_decide_whom_to_believe", "--nocapture"])
        .env(ADDRESS, address)
        .env(TRUSTED, trusted)
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

async fn child(address: &str, trusted: &str) {
    let chain = EvmChain::new(CHAIN, &[address.parse().unwrap()], AT_ONCE, quick()).unwrap();
    let believed = match chain.tips().await {
        Ok(_) => "yes",
        Err(EvmError::Unreachable { reason, .. }) => {
            assert!(reason.contains("certificate"), "{reason}");
            "no"
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(believed, trusted);
}
