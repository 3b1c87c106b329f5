use super::super::{Command, CommandLine};
use super::*;
use clap::{CommandFactory as _, Parser as _};

const PAGE: &str = include_str!("../../../../docs/requesting.md");

/// The commands of the page, each on one line.
fn commands() -> Vec<String> {
    let page = PAGE.replace("\\\n", " ");
    let lines = page.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line));
    lines.filter_map(|line| line.strip_prefix("keyringd request ")).map(ToOwned::to_owned).collect()
}

fn parsed(words: &str) -> Result<RequestArgs, clap::Error> {
    let line = CommandLine::try_parse_from(["keyringd", "request"].into_iter().chain(words.split_whitespace()))?;
    match line.command {
        Command::Request(args) => Ok(*args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_pages_commands_are_taken_and_show_every_kind() {
    let commands = commands();
    for words in commands.iter().map(|words| words.trim_end_matches("2> /dev/null")) {
        if let Err(error) = parsed(words) {
            panic!("keyringd request {words}\n{error}");
        }
    }
    for kind in ["look", "key", "hash", "tx", "simple"] {
        assert!(commands.iter().any(|words| words.split_whitespace().any(|word| word == kind)), "{kind}");
    }
}

#[test]
fn flags_stand_before_or_behind_what_is_asked_for() {
    for words in ["--json --timeout 45m key --wallet evm", "key --wallet evm --json --timeout 45m"] {
        let RequestArgs { common, .. } = parsed(words).unwrap();
        assert!(common.json && common.timeout == Duration::from_secs(2_700), "{words}");
    }
}

#[test]
fn help_tells_which_flag_is_for_which_chain() {
    let mut line = CommandLine::command();
    let request = line.find_subcommand_mut("request").unwrap();
    let names: Vec<_> = request.get_subcommands().map(|what| what.get_name().to_owned()).collect();
    assert_eq!(names, ["look", "key", "hash", "tx", "simple"]);
    let help = request.render_long_help().to_string();
    for said in ["On an EVM chain:", "On a zrChain:", "--account <FILE>", "13 minutes"] {
        assert!(help.contains(said), "{said}\n{help}");
    }
}

#[tokio::test]
async fn one_chain_is_asked_and_not_two_or_none() {
    for words in ["look", "--evm http://127.0.0.1:1 --zrchain http://127.0.0.1:1 look"] {
        let report = request(&parsed(words).unwrap()).await.unwrap_err();
        assert_eq!(report.exit(), crate::report::Exit::Misused, "{report}");
        assert!(report.to_string().contains("either --evm"), "{report}");
    }
}

#[test]
fn an_address_that_is_none_is_not_repeated() {
    let given = ["http://user:hidden@".to_owned()];
    let report = endpoints("--evm", &given).unwrap_err();
    assert!(report.to_string().starts_with("--evm names something") && !report.to_string().contains("hidden"));
    assert!(endpoints("--evm", &vec!["http://a".to_owned(); ENDPOINTS_MAX + 1]).is_err());
}
