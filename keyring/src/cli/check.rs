//! `keyringd check`: would this party work, and what to do where it would not.

use super::{ConfigArgs, say};
use crate::check::{Finding, Verdict, gather, has_failed, judge};
use crate::config::ProcessEnvironment;
use crate::report::Report;
use clap::Args;
use serde::Serialize;

/// Whose check.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The facts as JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    passed: bool,
    findings: &'a [Finding],
}

/// Says whether all is well. Changes nothing.
pub(super) async fn check(args: &CheckArgs) -> Result<bool, Report> {
    let facts = gather::gather(&args.config.config, &ProcessEnvironment).await;
    let findings = judge(&facts);
    let passed = !has_failed(&findings);
    if args.json {
        say(&(serde_json::to_string_pretty(&Told { passed, findings: &findings })? + "\n"))?;
    } else {
        say(&told(&findings))?;
    }
    Ok(passed)
}

fn told(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { subject, verdict, found, remedy } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        text += &format!("{verdict}  {subject:<width$}  {found}\n");
        if !remedy.is_empty() {
            text += &format!("      {:width$}  -> {remedy}\n", "");
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.verdict == wanted).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    text + &format!("{} checks: {failed} failed, {warned} to be looked at\n", findings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_told_with_its_remedy_below_it() {
        let finding = |subject: &str, verdict, remedy: &str| Finding {
            subject: subject.to_owned(),
            verdict,
            found: "as it is".to_owned(),
            remedy: remedy.to_owned(),
        };
        let told = told(&[finding("roster", Verdict::Ok, ""), finding("zenrock funds", Verdict::Fail, "send it some")]);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "ok    roster         as it is");
        assert_eq!(lines[1], "FAIL  zenrock funds  as it is");
        assert_eq!(lines[2], "                     -> send it some");
        assert_eq!(lines[3], "2 checks: 1 failed, 0 to be looked at");
    }
}
