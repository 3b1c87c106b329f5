//! A strict reader of the OpenMetrics text format, as far as the daemon uses it.

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// Everything that was shown.
pub(crate) struct Exposition {
    values: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    /// Refuses everything that is no OpenMetrics: unknown lines, series outside of their family, series shown twice,
    /// names of another form, histograms that do not add up, no end.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("the end is missing")?;
        let (mut values, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut family: Option<(String, String)> = None;
        for line in body.lines() {
            let wrong = |what: &str| format!("{what}: {line}");
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !families.insert(name.to_owned()) {
                    return Err(wrong("a family shown twice"));
                }
                family = Some((name.to_owned(), kind.to_owned()));
            } else if line.starts_with("# HELP ") || line.starts_with("# UNIT ") {
            } else {
                let (series, value) = line.rsplit_once(' ').ok_or_else(|| wrong("no value"))?;
                let value: f64 = value.parse().map_err(|_| wrong("no number"))?;
                let (name, labels) = labels(series).ok_or_else(|| wrong("no series"))?;
                let (of, kind) = family.as_ref().ok_or_else(|| wrong("outside of a family"))?;
                let suffixes: &[&str] = match kind.as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => return Err(wrong("unknown type")),
                };
                if !suffixes.iter().any(|suffix| name == format!("{of}{suffix}")) {
                    return Err(wrong("not of its family"));
                }
                if kind != "gauge" && value < 0.0 {
                    return Err(wrong("negative"));
                }
                if values.insert((name, labels), value).is_some() {
                    return Err(wrong("shown twice"));
                }
            }
        }
        let this = Self { values };
        this.histograms_add_up()?;
        Ok(this)
    }

    /// A series by name and all its labels.
    pub(crate) fn value(&self, name: &str, with: &[(&str, &str)]) -> Option<f64> {
        let labels: Labels = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.values.get(&(name.to_owned(), labels)).copied()
    }

    fn histograms_add_up(&self) -> Result<(), String> {
        for ((name, labels), value) in &self.values {
            let Some(family) = name.strip_suffix("_bucket") else { continue };
            if labels.get("le").is_some_and(|bound| bound == "+Inf") {
                let mut of = labels.clone();
                of.remove("le");
                let count = self.values.get(&(format!("{family}_count"), of));
                if count != Some(value) {
                    return Err(format!("{name} {labels:?} is {value}, its count {count:?}"));
                }
            }
        }
        Ok(())
    }
}

/// `name{a="b",c="d"}`.
fn labels(series: &str) -> Option<(String, Labels)> {
    let (name, rest) = series.split_once('{')?;
    let is_name = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
    };
    let mut labels = Labels::new();
    let inside = rest.strip_suffix('}')?;
    for pair in inside.split("\",").filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once("=\"")?;
        let value = value.strip_suffix('"').unwrap_or(value);
        if !is_name(label) || value.contains('"') || labels.insert(label.to_owned(), value.to_owned()).is_some() {
            return None;
        }
    }
    is_name(name).then(|| (name.to_owned(), labels))
}
