//! The config file of a new party: the example with a few values exchanged and every comment kept, so that what `init`
//! writes and what the manual shows cannot drift apart.

use super::{ConfigError, RawConfig};
use std::path::Path;
use toml_edit::{Array, DocumentMut, InlineTable, Table, TableLike, Value};

/// The annotated example, one field a line.
const EXAMPLE: &str = include_str!("../../../deploy/keyringd.example.toml");
/// The column where comments begin in it.
const COMMENTS_AT: usize = 48;

/// What a new party must say; everything else begins with the example's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParty {
    /// Its name in the roster.
    pub name: String,
    /// Where it listens for peers.
    pub listen: Vec<String>,
    /// The chain's own name.
    pub chain: String,
    /// The keyring's address there.
    pub keyring: String,
    /// Nodes of the chain.
    pub endpoints: Vec<String>,
}

/// The text of an annotated configuration in which everything lies in the folder of the file: secrets are files there,
/// the store opens with a key file.
///
/// # Errors
/// [`ConfigError`] when what was given breaks a rule of its field.
pub fn annotated(party: &NewParty) -> Result<String, ConfigError> {
    // Its first lines speak of the example as a whole.
    let rest = EXAMPLE.split_once('\n').map_or(EXAMPLE, |(_, rest)| rest);
    let text = format!("# Configuration of one party of a keyring. docs/configuration.md says more.\n{rest}");
    let mut document: DocumentMut = text.parse().map_err(|_| broken("is no TOML"))?;
    let node = section(document.get_mut("node").and_then(|item| item.as_table_mut()), "node")?;
    set(node, "name", party.name.as_str().into())?;
    set(node, "data_dir", "data".into())?;
    set(node, "roster", "roster.toml".into())?;
    set(node, "identity", file("identity.key"))?;
    set(node, "listen", list(&party.listen))?;
    set(node, "admin_socket", "data/admin.sock".into())?;
    let store = section(document.get_mut("store").and_then(|item| item.as_table_mut()), "store")?;
    set(store, "unlock", reference("keyfile", file("store.key")))?;
    let chains = document.get_mut("chain").and_then(|item| item.as_array_of_tables_mut());
    let chain = section(chains.and_then(|chains| chains.get_mut(0)), "chain")?;
    set(chain, "id", party.chain.as_str().into())?;
    set(chain, "keyring", party.keyring.as_str().into())?;
    set(chain, "endpoints", list(&party.endpoints))?;
    set(chain, "account", file("account.key"))?;
    let log = section(document.get_mut("log").and_then(|item| item.as_table_mut()), "log")?;
    set(log, "file", "keyringd.log".into())?;
    let text = without_last_sections(&document.to_string());
    RawConfig::parse(&text)?.check(Path::new(""))?;
    Ok(text)
}

fn section<'a>(table: Option<&'a mut Table>, name: &str) -> Result<&'a mut Table, ConfigError> {
    table.ok_or_else(|| broken(&format!("has no [{name}]")))
}

/// Comments the last sections out: nobody listens over HTTP without being told to, several parties of one machine would
/// want the same port, and which contracts are served all parties say together.
fn without_last_sections(text: &str) -> String {
    let mut is_off = false;
    let line = |line: &str| {
        is_off |= line == "[monitoring]";
        if is_off && line.is_empty() {
            "\n".to_owned()
        } else if is_off {
            format!("# {line}\n")
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(line).collect()
}

/// Exchanges a value; its comment stays, in its column where there is room.
fn set(table: &mut Table, field: &str, value: Value) -> Result<(), ConfigError> {
    let old = table.get_mut(field).and_then(|item| item.as_value_mut());
    let old = old.ok_or_else(|| broken(&format!("has no field {field}")))?;
    let comment = old.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().trim_start().to_owned();
    let width = format!("{field} = {}", value.to_string().trim()).chars().count();
    let gap = if comment.is_empty() { 0 } else { COMMENTS_AT.saturating_sub(width).max(2) };
    *old = value.decorated(" ", format!("{:gap$}{comment}", ""));
    Ok(())
}

fn list(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(String::as_str).collect::<Array>())
}

fn file(name: &str) -> Value {
    reference("file", name.into())
}

fn reference(kind: &str, value: Value) -> Value {
    let mut table = InlineTable::new();
    TableLike::insert(&mut table, kind, toml_edit::Item::Value(value));
    Value::InlineTable(table)
}

/// Cannot be: tests parse the example.
fn broken(what: &str) -> ConfigError {
    ConfigError::Field { field: "the example of this program".to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, RawUnlock, SecretRef};

    fn party() -> NewParty {
        NewParty {
            name: "beta".to_owned(),
            listen: vec!["/ip4/0.0.0.0/tcp/7701".to_owned(), "/ip4/0.0.0.0/udp/7701/quic-v1".to_owned()],
            chain: "testchain-1".to_owned(),
            keyring: "keyring1k6vc6vhp6e6l3rxalue9v4ux".to_owned(),
            endpoints: vec!["https://one.example:9090".to_owned(), "http://127.0.0.1:9090".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_what_was_asked_for_and_lies_in_one_folder() {
        let folder = Path::new("/srv/beta");
        let config = Config::parse(&annotated(&party()).unwrap(), folder).unwrap();
        assert_eq!((config.node.name.as_str(), config.node.listen.len()), ("beta", 2));
        assert_eq!(config.node.data_dir, folder.join("data"));
        assert_eq!(config.node.admin_socket, folder.join("data/admin.sock"));
        assert_eq!(config.node.identity, SecretRef::File(folder.join("identity.key")));
        assert_eq!(config.store.unlock, RawUnlock::Keyfile(SecretRef::File(folder.join("store.key"))));
        let chain = &config.chains[0];
        assert_eq!((chain.id.as_str(), chain.endpoints.len()), ("testchain-1", 2));
        assert_eq!(chain.account, SecretRef::File(folder.join("account.key")));
    }

    #[test]
    fn every_field_and_every_comment_of_the_example_is_there() {
        let written = annotated(&party()).unwrap();
        let (head, off) = written.split_once("# [monitoring]\n").unwrap();
        let is_comment = |line: &str| line.is_empty() || line.starts_with("# ");
        assert!(!head.contains("[monitoring]") && off.lines().all(is_comment), "{off}");
        let on: Vec<&str> = off.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
        let text = format!("{head}[monitoring]\n{}\n", on.join("\n"));
        let comments = |text: &str| text.lines().filter_map(|line| line.split_once('#')).count();
        assert_eq!(comments(&text), comments(EXAMPLE));
        let fields = |text: &str| {
            text.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(fields(&text), fields(EXAMPLE));
        let line = text.lines().find(|line| line.starts_with("name = ")).unwrap();
        assert_eq!(line, "name = \"beta\"                                   # this party's name in the roster");
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_field() {
        let refused = annotated(&NewParty { endpoints: vec!["node.example".to_owned()], ..party() }).unwrap_err();
        assert!(refused.to_string().contains("chain[0].endpoints[0]"), "{refused}");
        let refused = annotated(&NewParty { listen: Vec::new(), ..party() }).unwrap_err();
        assert!(refused.to_string().contains("node.listen"), "{refused}");
    }

    #[test]
    fn quotes_in_a_value_stay_within_it() {
        let sly = NewParty { name: "x\"\nlisten = []\n#".to_owned(), ..party() };
        let config = Config::parse(&annotated(&sly).unwrap(), Path::new("/")).unwrap();
        assert_eq!((config.node.name, config.node.listen.len()), (sly.name, 2));
    }
}
