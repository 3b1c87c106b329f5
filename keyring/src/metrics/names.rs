//! Every metric by name, with its labels, its meaning and what to alarm on.

use prometheus_client::metrics::histogram::Histogram;

use super::catalogue::{About, Catalogue};
use super::{
    Agreement, Chains, Contracts, Controllers, Metrics, NodeMetrics, Peers, Process, Readiness, Requests, Runs,
    StoreMetrics,
};

/// Upper bounds in seconds for what a user waits for.
fn waits() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0])
}

/// Upper bounds in seconds for one synced write.
fn writes() -> Histogram {
    Histogram::new([0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
}

const fn about(name: &'static str, unit: &'static str, means: &'static str, alarm: &'static str) -> About {
    About { name, unit, means, alarm }
}

pub(super) fn register() -> Metrics {
    let mut catalogue = Catalogue::new();
    let c = &mut catalogue;
    let (readiness, requests, agreement, runs) = (readiness(c), requests(c), agreement(c), runs(c));
    let (node, peers, chains, controllers) = (node(c), peers(c), chains(c), controllers(c));
    let contracts = contracts(c);
    let (store, process) = (store(c), process(c));
    Metrics {
        readiness,
        requests,
        agreement,
        runs,
        node,
        peers,
        chains,
        controllers,
        contracts,
        store,
        process,
        catalogue,
        asked: std::sync::Mutex::new(()),
    }
}

fn readiness(c: &mut Catalogue) -> Readiness {
    Readiness {
        ready: c.gauge(about("ready", "", "1 if this node contributes, as `/readyz` says", "0 for 2 min"), []),
        not_ready: c.gauge(
            about(
                "not_ready",
                "",
                "1 while this reason keeps the node from contributing; the reasons stand in operations.md",
                "1 for 2 min, by `reason`",
            ),
            ["reason"],
        ),
        degraded: c.gauge(
            about(
                "degraded",
                "",
                "1 while the node contributes but lacks this; the reasons stand in operations.md",
                "1 for 1 h, by `reason`",
            ),
            ["reason"],
        ),
    }
}

fn requests(c: &mut Catalogue) -> Requests {
    Requests {
        open: c.gauge(
            about("requests", "", "Requests worked on now, by their state; `learning`: only the decision of others is wanted", "`doubt` for 10 min; `parked` growing"),
            ["chain", "kind", "state"],
        ),
        stages: c.counter(
            about("request_stages", "", "Requests that reached a stage in this process: `seen` (read from the chain), `resumed` (open when the process began), `admitted`, `decided`, `submitted` (our transaction signed and stored), and the ends `settled`, `unanswerable`, `expired`, `moot`, `undone` (its block was taken back). Admitted and resumed less settled, expired, moot and undone are the open ones", "any increase of `expired`; `admitted` without `settled`"),
            ["chain", "kind", "stage"],
        ),
        decided_after: c.histogram(
            about("decision", "seconds", "From reading a request until the cluster's decision is known here", "99th percentile above a third of a request's life"),
            ["chain", "kind"],
            waits,
        ),
        broadcast_after: c.histogram(
            about("broadcast", "seconds", "From reading a request until our answer was first given to a node of the chain", "as above"),
            ["chain", "kind"],
            waits,
        ),
    }
}

fn agreement(c: &mut Catalogue) -> Agreement {
    Agreement {
        ballots: c.counter(
            about("ballots", "", "Ballots that this party spoke in: `first` is ballot 0, `later` are all others, which cost two more hops", "`later` above a tenth of `first`"),
            ["chain", "turn"],
        ),
        messages: c.counter(
            about("messages", "", "Signed statements heard from peers (`in`, before they are judged) and made (`out`, once however many hear it)", ""),
            ["direction", "type"],
        ),
        dropped: c.counter(
            about("messages_dropped", "", "What was thrown away: `malformed` frames, statements with a wrong `signature`, `early` ones that found no room, and `round` messages of runs that found none", "`malformed` or `signature` rising: a peer runs another program, or lies"),
            ["reason"],
        ),
    }
}

fn runs(c: &mut Catalogue) -> Runs {
    Runs {
        live: c.gauge(about("runs", "", "Protocol runs that are alive", "near `limits.sessions_max`"), []),
        begun: c.counter(about("runs_begun", "", "Protocol runs begun", ""), ["kind"]),
        took: c.histogram(
            about("run", "seconds", "How long a run lasted, and how it ended: `finished`, `failed`, or `stopped` because it was not needed any more", "`failed` above a tenth of all"),
            ["kind", "outcome"],
            waits,
        ),
    }
}

fn node(c: &mut Catalogue) -> NodeMetrics {
    NodeMetrics {
        inbox: c.gauge(
            about(
                "inbox_waiting",
                "",
                "News that wait for the node's thread; at 8192 whoever brings some must wait",
                "above 4096 for 1 min",
            ),
            [],
        ),
        notes: c.counter(
            about(
                "notes",
                "",
                "Lines that the node wrote to the log; `alarm` means that a person must act",
                "any increase of `alarm`",
            ),
            ["level"],
        ),
        auxiliary: c.gauge(about("auxiliary", "", "1 if auxiliary data for ECDSA is in force", "0"), []),
        shelf: c.gauge(
            about(
                "shelf_keys",
                "",
                "Finished keys that wait for a request, by the party that may give them away",
                "0 for 1 h while all parties are up",
            ),
            ["party", "curve"],
        ),
    }
}

fn peers(c: &mut Catalogue) -> Peers {
    Peers {
        up: c.gauge(about("peer_up", "", "1 while the link to this party stands", "0 for 5 min"), ["peer"]),
        round_trip: c.gauge(about("peer_round_trip", "seconds", "The last round trip", ""), ["peer"]),
        clock_offset: c.gauge(
            about("peer_clock_offset", "seconds", "How far that party's clock is ahead of ours. Clocks decide nothing here; logs are compared by them", "beyond ±5 s"),
            ["peer"],
        ),
        queued: c.gauge(about("peer_queued_frames", "", "Frames that wait to be sent", ""), ["peer"]),
        frames: c.counter(about("peer_frames", "", "Frames received and sent", ""), ["peer", "direction"]),
        bytes: c.counter(about("peer_traffic", "bytes", "Bytes of their bodies", ""), ["peer", "direction"]),
        ups: c.counter(about("peer_links", "", "Times the link came up", "more than 10 in 10 min: it flaps"), ["peer"]),
        dropped: c.counter(
            about("peer_frames_dropped", "", "Frames not sent because a queue was `full` or the link broke (`unsent`); connections refused or closed for a `stale_roster`, an `oversized` or a `malformed` frame", "`stale_roster`, `oversized`, `malformed`: any increase"),
            ["peer", "reason"],
        ),
        refused: c.counter(
            about("connections_refused", "", "Connections that never became a link: a `stranger`, one `over_limit`, a `failed_handshake`", "`stranger` rising steadily: somebody looks for a way in"),
            ["reason"],
        ),
    }
}

fn chains(c: &mut Catalogue) -> Chains {
    Chains {
        height: c.gauge(
            about(
                "chain_height",
                "",
                "Highest final height that the node has heard of",
                "differs from other parties' by more than 5",
            ),
            ["chain"],
        ),
        block_age: c.gauge(
            about(
                "chain_block_age",
                "seconds",
                "Since the last new block was heard of; absent before the first",
                "see `chain_halted`",
            ),
            ["chain"],
        ),
        read_age: c.gauge(
            about(
                "chain_read_age",
                "seconds",
                "Since the chain's head was last read; absent before the first time",
                "see `chain_stale`",
            ),
            ["chain"],
        ),
        endpoint_height: c.gauge(
            about(
                "endpoint_height",
                "",
                "Highest height that this endpoint has shown",
                "behind `keyring_chain_height` by more than 5",
            ),
            ["chain", "endpoint"],
        ),
        endpoint_failures: c.gauge(
            about("endpoint_failures", "", "Failures of this endpoint in a row; 0 after a reply", "above 0 for 10 min"),
            ["chain", "endpoint"],
        ),
    }
}

fn controllers(c: &mut Catalogue) -> Controllers {
    Controllers {
        in_flight: c.gauge(about("controller_in_flight", "", "Account sequences taken whose fate is not known", "above 0 without change for 10 min"), ["chain"]),
        waiting: c.gauge(about("controller_waiting", "", "Answers that wait for their turn, for a sequence, or for their sequence's fate", "above 0 without change for 10 min"), ["chain"]),
        halted: c.gauge(about("controller_halted", "", "1 while the controller stands still because the account moved without it", "1"), ["chain"]),
        balance: c.gauge(about("controller_balance_urock", "urock", "What the account held when it was last read", "below the cost of a day's answers"), ["chain"]),
        broadcasts: c.counter(
            about("broadcasts", "", "What nodes of the chain said of a transaction: `taken`, `known`, `refused`, or nothing (`unknown`)", "`refused` rising"),
            ["chain", "hint"],
        ),
        dead: c.counter(
            about("sequences_dead", "", "Transactions of ours that were proved dead: their sequence is spent and the request does not show our answer", "any increase"),
            ["chain"],
        ),
    }
}

fn contracts(c: &mut Catalogue) -> Contracts {
    Contracts {
        height: c.gauge(
            about(
                "contract_final_height",
                "",
                "The newest final block that the node has heard of",
                "no increase for 10 min",
            ),
            ["chain"],
        ),
        read: c.gauge(
            about(
                "contract_read_height",
                "",
                "The block up to which a contract's logs were taken",
                "far behind `contract_final_height`",
            ),
            ["chain"],
        ),
        closed: c.gauge(
            about(
                "contract_closed",
                "",
                "1 while nothing is read or signed: unlisted code, or a final block that was taken back",
                "1",
            ),
            ["chain"],
        ),
        nonce: c.gauge(about("sender_nonce", "", "The next unused nonce of this party's account", ""), ["chain"]),
        balance: c.gauge(
            about(
                "sender_balance_wei",
                "wei",
                "What the account held when it was last seen",
                "below the cost of a day's answers",
            ),
            ["chain"],
        ),
        price: c.gauge(
            about("sender_price_wei", "wei", "What would be offered for a unit of gas", "near `price_max_wei`"),
            ["chain"],
        ),
        lost_today: c.gauge(
            about(
                "sender_lost_today_wei",
                "wei",
                "What the contract did not pay back this UTC day",
                "half of `max_loss_per_day_wei`",
            ),
            ["chain"],
        ),
        lost_total: c.gauge(about("sender_lost_wei", "wei", "The same since the account is used", ""), ["chain"]),
        in_flight: c.gauge(
            about(
                "sender_in_flight",
                "",
                "Nonces taken and not seen spent in a final block",
                "above 0 without change for 30 min",
            ),
            ["chain"],
        ),
        transactions: c.gauge(
            about(
                "simple_transactions_in_flight",
                "",
                "Simple transactions that were completed and whose nonce is not spent in a final block of their destination",
                "above 0 without change for an hour: users do not send them, and the next of their wallets wait",
            ),
            ["chain"],
        ),
        unread: c.gauge(
            about(
                "destinations_unread",
                "",
                "Destinations that are not read though a simple transaction waits for it",
                "above 0 for 5 min",
            ),
            ["chain"],
        ),
        waiting: c.gauge(
            about("sender_waiting", "", "Authorised answers without a nonce", "above 0 without change for 30 min"),
            ["chain"],
        ),
    }
}

fn store(c: &mut Catalogue) -> StoreMetrics {
    StoreMetrics {
        position: c.gauge(about("journal_position", "", "Batches written since the store was made", ""), []),
        memory: c.gauge(about("store_memory", "bytes", "What the store holds in memory: `buffers` (written lately, not yet in a table file), `cache` (blocks of table files), `readers` (what open table files need beside that)", "above 48 MiB in all"), ["part"]),
        writes: c.histogram(
            about(
                "journal_write",
                "seconds",
                "One batch, synced; its count is the number of batches",
                "99th percentile above 0.1: the disk is too slow",
            ),
            [],
            writes,
        ),
        entries: c.counter(about("journal_entries", "", "Entries of these batches", ""), []),
        bytes: c.counter(about("journal_written", "bytes", "Keys and plain values of these entries", ""), []),
        failures: c.counter(
            about("store_failures", "", "Operations that failed: `write`, `read`, `scan`", "any increase"),
            ["act"],
        ),
    }
}

fn process(c: &mut Catalogue) -> Process {
    Process {
        build: c.gauge(about("build", "", "Always 1; which program this is. `development` is `true` if development shortcuts are compiled in: never for money", "`development=\"true\"` in production"), ["version", "arithmetic", "development"]),
        resident: c.common_gauge(about("process_resident_memory", "bytes", "Resident memory", "three quarters of the machine's")),
        descriptors: c.common_gauge(about("process_open_fds", "", "Open file descriptors", "three quarters of the limit")),
        started: c.common_gauge(about("process_start_time", "seconds", "When the process began, since the Unix epoch", "changes more than twice in 1 h")),
    }
}
