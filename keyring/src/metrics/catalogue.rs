//! The list of all metrics: each is registered here once, with its unit, its labels, its meaning and what to alarm on.
//! `docs/metrics.md` is written from it.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Stands before every name but those that Prometheus fixes for all programs.
const PREFIX: &str = "keyring";

/// Label names and values of one series.
type Labels = Vec<(&'static str, String)>;

/// What is said of a metric.
#[derive(Clone, Copy)]
pub(super) struct About {
    /// Its name, without prefix, unit and `_total`.
    pub(super) name: &'static str,
    /// Empty for bare numbers.
    pub(super) unit: &'static str,
    /// What it tells, without full stop.
    pub(super) means: &'static str,
    /// When a person should be told; empty: never by itself.
    pub(super) alarm: &'static str,
}

/// One row of the reference.
pub(super) struct Row {
    /// As Prometheus shows it.
    pub(super) name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub(super) kind: &'static str,
    /// Names of its labels.
    pub(super) labels: Vec<&'static str>,
    /// What it is.
    pub(super) about: About,
}

/// Everything that is registered.
pub(super) struct Catalogue {
    pub(super) ours: Registry,
    /// Names without our prefix.
    pub(super) bare: Registry,
    pub(super) rows: Vec<Row>,
}

/// Counters that differ in `N` labels.
#[derive(Clone)]
pub struct Counters<const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels, Counter>,
}

/// Gauges that differ in `N` labels.
#[derive(Clone)]
pub struct Gauges<const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels, Gauge<f64, AtomicU64>>,
}

/// Histograms that differ in `N` labels.
#[derive(Clone)]
pub struct Histograms<const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels, Histogram, Buckets>,
}

/// Makes histograms with these upper bounds.
type Buckets = fn() -> Histogram;

impl Catalogue {
    pub(super) fn new() -> Self {
        Self { ours: Registry::with_prefix(PREFIX), bare: Registry::default(), rows: Vec::new() }
    }

    pub(super) fn counter<const N: usize>(&mut self, about: About, labels: [&'static str; N]) -> Counters<N> {
        let family = Family::default();
        self.register("counter", about, &labels, family.clone());
        Counters { labels, family }
    }

    pub(super) fn gauge<const N: usize>(&mut self, about: About, labels: [&'static str; N]) -> Gauges<N> {
        let family = Family::default();
        self.register("gauge", about, &labels, family.clone());
        Gauges { labels, family }
    }

    pub(super) fn histogram<const N: usize>(
        &mut self,
        about: About,
        labels: [&'static str; N],
        buckets: Buckets,
    ) -> Histograms<N> {
        let family = Family::new_with_constructor(buckets);
        self.register("histogram", about, &labels, family.clone());
        Histograms { labels, family }
    }

    /// A gauge whose name is the same for all programs.
    pub(super) fn common_gauge(&mut self, about: About) -> Gauges<0> {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        let unit = unit_of(about.unit);
        match unit {
            Some(unit) => self.bare.register_with_unit(about.name, about.means, unit, family.clone()),
            None => self.bare.register(about.name, about.means, family.clone()),
        }
        self.rows.push(Row { name: full_name(None, "gauge", about), kind: "gauge", labels: Vec::new(), about });
        Gauges { labels: [], family }
    }

    fn register<M: prometheus_client::registry::Metric>(
        &mut self,
        kind: &'static str,
        about: About,
        labels: &[&'static str],
        metric: M,
    ) {
        match unit_of(about.unit) {
            Some(unit) => self.ours.register_with_unit(about.name, about.means, unit, metric),
            None => self.ours.register(about.name, about.means, metric),
        }
        let name = full_name(Some(PREFIX), kind, about);
        self.rows.push(Row { name, kind, labels: labels.to_vec(), about });
    }
}

impl<const N: usize> Counters<N> {
    /// One more.
    pub fn one(&self, values: [&str; N]) {
        self.more(values, 1);
    }

    /// So many more; 0 makes the series appear.
    pub fn more(&self, values: [&str; N], by: u64) {
        self.family.get_or_create(&series(self.labels, values)).inc_by(by);
    }

    /// The total is counted elsewhere, and stands at this.
    pub fn stands_at(&self, values: [&str; N], total: u64) {
        self.family.get_or_create(&series(self.labels, values)).inner().store(total, Ordering::Relaxed);
    }

    /// As counted so far.
    #[must_use]
    pub fn count(&self, values: [&str; N]) -> u64 {
        self.family.get(&series(self.labels, values)).map_or(0, |counter| counter.get())
    }
}

impl<const N: usize> Gauges<N> {
    /// It is this now.
    pub fn set(&self, values: [&str; N], value: f64) {
        self.family.get_or_create(&series(self.labels, values)).set(value);
    }

    /// Nothing is known any more: no series is better than an old one.
    pub fn forget(&self) {
        self.family.clear();
    }
}

impl<const N: usize> Histograms<N> {
    /// It took so many seconds.
    pub fn observe(&self, values: [&str; N], seconds: f64) {
        self.family.get_or_create(&series(self.labels, values)).observe(seconds);
    }
}

fn series<const N: usize>(labels: [&'static str; N], values: [&str; N]) -> Labels {
    labels.into_iter().zip(values.map(str::to_owned)).collect()
}

fn unit_of(unit: &str) -> Option<Unit> {
    match unit {
        "seconds" => Some(Unit::Seconds),
        "bytes" => Some(Unit::Bytes),
        _ => None,
    }
}

fn full_name(prefix: Option<&str>, kind: &str, about: About) -> String {
    let unit = unit_of(about.unit).map(|unit| unit.as_str().to_owned());
    let total = (kind == "counter").then(|| "total".to_owned());
    let parts = [prefix.map(str::to_owned), Some(about.name.to_owned()), unit, total];
    parts.into_iter().flatten().collect::<Vec<_>>().join("_")
}
