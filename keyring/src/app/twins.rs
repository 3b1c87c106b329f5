//! Whether two processes answer under one party's name. Peers that keep the original's connection in use leave a copy's in
//! reserve and never hear its words: what shows it is that both go on answering pings.

use std::collections::BTreeMap;
use std::time::Duration;

use transport::Links;

use super::Inbox;
use super::post::Directory;
use crate::node::Event;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the node each time two processes answered side by side.
pub(super) async fn watch(links: Links, directory: Directory, inbox: Inbox) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = BTreeMap::new();
    loop {
        looks.tick().await;
        for link in links.snapshot() {
            let (Some(at), Some(party)) = (link.twins_at_ms, directory.place(link.peer)) else { continue };
            if told.insert(party, at) != Some(at) {
                inbox.tell(Event::Twins(party)).await;
            }
        }
    }
}
