//! `docs/metrics.md`, written from the catalogue.

use super::Metrics;

/// The whole page.
#[must_use]
pub fn reference() -> String {
    let metrics = Metrics::new(&[]);
    let mut page = HEAD.to_owned();
    for row in &metrics.catalogue.rows {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let unit = if row.about.unit.is_empty() { "–" } else { row.about.unit };
        let cells = [
            format!("`{}`", row.name),
            row.kind.to_owned(),
            if labels.is_empty() { "–".to_owned() } else { labels.join(", ") },
            unit.to_owned(),
            row.about.means.to_owned(),
            if row.about.alarm.is_empty() { "–".to_owned() } else { row.about.alarm.to_owned() },
        ];
        page += &format!("| {} |\n", cells.join(" | "));
    }
    page
}

const HEAD: &str = "\
# Metrics

Written from the program's own list; a test compares the two (`KEYRING_WRITE_MANUAL=1 cargo test -p keyring --lib metrics` writes it).
How to switch them on and scrape them stands in [operations.md](operations.md), section *Watching a node*.

`GET /metrics` answers in the OpenMetrics text format, by the crate `prometheus-client`: the Prometheus project's own, typed, without a
global recorder, and in the program already through the links. Histograms add `_bucket`, `_sum` and `_count` to their name.
Counters begin at zero with the process. Labels are bounded sets: `chain` and `endpoint` come from the configuration, `peer` and `party` from the roster,
all others from fixed words. No label and no value ever holds a request, a key, a payload or a session.

Where a node does not answer, what only it can tell is absent, and `keyring_not_ready{reason=\"node_stuck\"}` is 1: old numbers would look like health.
Not told yet: the balance of an account (`no_funds` tells when it is too late), and the size of the store on disk (the machine's exporter tells).

| Name | Type | Labels | Unit | Means | Alarm on |
| --- | --- | --- | --- | --- | --- |
";
