use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use transport::GateFacts;

use super::*;
use crate::readiness::{Beat, Facts, Readiness as Judged};
use crate::store::{Entry, MemoryStore, Store as _, Table};

fn nothing() -> Snapshot {
    let facts = Facts {
        need: 2,
        quorum: 2,
        peers: Vec::new(),
        store_halted: false,
        links_ended: false,
        tasks_ended: Vec::new(),
        clock_warning: String::new(),
        node: Beat::Stuck(3_000),
    };
    Snapshot {
        readiness: Judged::of(&facts),
        node: None,
        parties: Vec::new(),
        inbox_waiting: 3,
        links: Vec::new(),
        gate: GateFacts::default(),
        chains: BTreeMap::new(),
        rounds_dropped: 0,
        process: ProcessFacts::default(),
    }
}

#[test]
fn the_manual_lists_every_metric() {
    crate::manual::check_page("docs/metrics.md", &reference());
}

#[test]
fn names_are_unique_in_base_units_and_every_metric_has_a_meaning() {
    let metrics = Metrics::new(&[]);
    let names: BTreeSet<_> = metrics.catalogue.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), metrics.catalogue.rows.len());
    for row in &metrics.catalogue.rows {
        assert!(row.name.starts_with("keyring_") || row.name.starts_with("process_"), "{}", row.name);
        assert_eq!(row.name.ends_with("_total"), row.kind == "counter", "{}", row.name);
        assert!(row.about.means.len() > 5 && !row.about.means.ends_with('.') && !row.about.means.contains('|'));
        assert!(row.kind != "histogram" || row.about.unit == "seconds", "{}", row.name);
    }
}

#[test]
fn what_is_shown_is_what_the_catalogue_says() {
    let metrics = Metrics::new(&["zenrock".to_owned()]);
    metrics.store.writes.observe([], 0.01);
    let text = metrics.text(&nothing());
    let rows: BTreeMap<_, _> = metrics.catalogue.rows.iter().map(|row| (row.name.clone(), row.kind)).collect();
    let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.split_once(' ').unwrap());
    let mut count = 0;
    for (name, kind) in shown {
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert_eq!(rows.get(&name), Some(&kind), "{name}");
        count += 1;
    }
    assert!(count > 15, "{text}");
    assert!(text.ends_with("# EOF\n"));
    assert!(
        text.contains("keyring_request_stages_total{chain=\"zenrock\",kind=\"key\",stage=\"expired\"} 0\n"),
        "{text}"
    );
    assert!(text.contains("keyring_inbox_waiting{} 3.0\n"), "{text}");
}

#[test]
fn of_a_node_that_does_not_answer_no_old_number_is_shown() {
    let metrics = Metrics::new(&[]);
    metrics.chains.height.set(["zenrock"], 100.0);
    metrics.requests.open.set(["zenrock", "key", "parked"], 5.0);
    metrics.runs.live.set([], 2.0);
    let text = metrics.text(&nothing());
    for gone in ["keyring_chain_height{", "keyring_requests{", "keyring_runs{"] {
        assert!(!text.contains(gone), "{gone}");
    }
    assert!(text.contains("keyring_not_ready{reason=\"node_stuck\"} 1.0\n"), "{text}");
    assert!(text.contains("keyring_ready{} 0.0\n"), "{text}");
}

#[test]
fn a_failed_write_is_counted_and_remembered() {
    let (metrics, halted) = (Arc::new(Metrics::new(&[])), Arc::new(AtomicBool::new(false)));
    let inner = Arc::new(MemoryStore::new(7));
    let store = MeteredStore::new(inner.clone(), metrics.clone(), halted.clone());
    let entry = |key: u8| [Entry::put(Table::Meta, [key], vec![0; 10])];
    store.append(&entry(1)).unwrap();
    store.append(&[]).unwrap();
    assert_eq!((metrics.store.entries.count([]), metrics.store.bytes.count([])), (1, 11));
    assert!(
        metrics.text(&nothing()).contains("keyring_journal_write_seconds_count{} 1\n"),
        "an empty batch is no write"
    );
    inner.crash();
    assert!(!halted.load(Ordering::SeqCst));
    assert!(store.append(&entry(2)).is_err());
    assert!(halted.load(Ordering::SeqCst));
    assert_eq!((metrics.store.failures.count(["write"]), metrics.store.entries.count([])), (1, 1));
}
