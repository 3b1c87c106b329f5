use super::*;

const EXAMPLE: &str = include_str!("../../../deploy/keyringd.example.toml");
const MANUAL: &str = include_str!("../../../docs/configuration.md");

fn example() -> RawConfig {
    RawConfig::parse(EXAMPLE).unwrap()
}

fn refused(change: impl FnOnce(&mut RawConfig)) -> String {
    let mut raw = example();
    change(&mut raw);
    match raw.check(Path::new("/etc")) {
        Err(ConfigError::Field { field, .. }) => field,
        other => panic!("not refused: {other:?}"),
    }
}

/// Section and name of every field that the program writes for a file with everything in it.
fn fields(raw: &RawConfig) -> Vec<(String, String)> {
    let table = toml::Table::try_from(raw).unwrap();
    let mut fields = Vec::new();
    for (section, value) in table {
        let value = match value {
            toml::Value::Array(mut entries) => entries.remove(0),
            other => other,
        };
        fields.extend(value.as_table().unwrap().keys().map(|name| (section.clone(), name.clone())));
    }
    fields
}

#[test]
fn the_example_is_a_valid_configuration() {
    let config = example().check(Path::new("/etc")).unwrap();
    assert_eq!(config.chains[0].id.as_str(), "zenrock");
    assert_eq!(config.node.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.node.admin_socket, Path::new("/run/keyringd/admin.sock"));
}

#[test]
fn the_examples_limits_and_shelf_are_the_defaults() {
    let (written, defaults) = (example(), RawShelf::default());
    assert_eq!(written.limits, Limits::default());
    assert_eq!(
        (written.shelf.secp256k1_per_lane, written.shelf.ed25519_per_lane),
        (defaults.secp256k1_per_lane, defaults.ed25519_per_lane)
    );
}

#[test]
fn the_manual_and_the_example_name_every_field() {
    let fields = fields(&example());
    assert!(fields.len() >= 30, "the walk finds the fields: {fields:?}");
    for (section, name) in fields {
        let heading = MANUAL
            .split("\n## ")
            .find(|part| part.starts_with(&format!("`[{section}]`")) || part.starts_with(&format!("`[[{section}]]`")));
        let heading = heading.unwrap_or_else(|| panic!("the manual has no section [{section}]"));
        assert!(heading.contains(&format!("| `{name}` |")), "the manual does not explain {section}.{name}");
        assert!(
            EXAMPLE.lines().any(|line| line.starts_with(&format!("{name} = "))),
            "the example lacks {section}.{name}"
        );
    }
}

#[test]
fn the_manual_names_no_field_that_does_not_exist() {
    let known: BTreeSet<_> = fields(&example()).into_iter().map(|(_, name)| name).collect();
    let sections = MANUAL.split("\n## ").filter(|part| part.starts_with("`["));
    for row in sections.flat_map(str::lines).filter_map(|line| line.strip_prefix("| `")) {
        let name = row.split('`').next().unwrap_or_default();
        assert!(known.contains(name), "the manual explains {name}, which is no field");
    }
}

#[test]
fn unknown_fields_are_errors_in_every_section() {
    for section in [
        "[node]",
        "[store]",
        "[[chain]]",
        "[shelf]",
        "[limits]",
        "[log]",
        "[monitoring]",
        "[[contract]]",
        "[[destination]]",
    ] {
        let text = EXAMPLE.replacen(section, &format!("{section}\nsurprise = 1"), 1);
        assert!(matches!(RawConfig::parse(&text), Err(ConfigError::Parse(_))), "{section}");
    }
    assert!(RawConfig::parse(&format!("surprise = 1\n{EXAMPLE}")).is_err());
}

#[test]
fn a_wrong_value_is_named_by_its_path() {
    assert_eq!(refused(|raw| raw.node.name.clear()), "node.name");
    assert_eq!(refused(|raw| raw.node.listen = vec!["localhost:1".to_owned()]), "node.listen");
    assert_eq!(refused(|raw| raw.node.drain_timeout = Duration::ZERO), "node.drain_timeout");
    let nothing = |raw: &mut RawConfig| {
        raw.chain.clear();
        raw.contract.clear();
    };
    assert_eq!(refused(nothing), "chain");
    assert_eq!(refused(|raw| raw.chain.push(raw.chain[0].clone())), "chain");
    assert_eq!(refused(|raw| raw.chain[0].kind = "zrsign".to_owned()), "chain[0].kind");
    assert_eq!(refused(|raw| raw.chain[0].endpoints[0] = "ftp://x".to_owned()), "chain[0].endpoints[0]");
    assert_eq!(refused(|raw| raw.chain[0].fee_floor_urock = u64::MAX), "chain[0].fee_ceiling_urock");
    assert_eq!(refused(|raw| raw.chain[0].poll_interval = Duration::from_secs(3_600)), "chain[0].poll_interval");
    assert_eq!(refused(|raw| raw.limits.requests_open_max = 4_097), "limits.requests_open_max");
    let monitoring = |raw: &mut RawConfig| raw.monitoring.clone().unwrap();
    assert_eq!(
        refused(|raw| raw.monitoring = Some(RawMonitoring { listen: "localhost".to_owned(), ..monitoring(raw) })),
        "monitoring.listen"
    );
    assert_eq!(
        refused(|raw| raw.monitoring = Some(RawMonitoring { connections_max: 0, ..monitoring(raw) })),
        "monitoring.connections_max"
    );
    assert_eq!(refused(|raw| raw.log.level = "keyring=loud".to_owned()), "log.level");
    assert_eq!(refused(|raw| raw.node.identity = SecretRef::Credential("../x".to_owned())), "node.identity");
}

#[test]
fn a_wrong_destination_is_named_by_its_path() {
    let first = |change: fn(&mut RawDestination)| refused(|raw| change(&mut raw.destination[0]));
    assert_eq!(refused(|raw| raw.destination.push(raw.destination[0].clone())), "destination");
    for wrong in ["1", "eip155:0", "eip155:01", "bip122:1"] {
        assert_eq!(refused(|raw| raw.destination[0].chain = wrong.to_owned()), "destination[0].chain", "{wrong}");
    }
    assert_eq!(first(|destination| destination.endpoints.clear()), "destination[0].endpoints");
    assert_eq!(first(|destination| destination.endpoints[0].clear()), "destination[0].endpoints[0]");
    assert_eq!(first(|destination| destination.evidence = RawEvidence::Agreement), "destination[0].evidence");
    assert_eq!(first(|destination| destination.finality = RawFinality::Depth(1 << 40)), "destination[0].finality");
    assert_eq!(first(|destination| destination.price_max_wei = 1), "destination[0].price_max_wei");
    assert_eq!(first(|destination| destination.gas_max = 20_999), "destination[0].gas_max");
    assert_eq!(first(|destination| destination.call_timeout = Duration::ZERO), "destination[0].call_timeout");
}

#[test]
fn a_wrong_contract_is_named_by_its_path() {
    let first = |change: fn(&mut RawContract)| refused(|raw| change(&mut raw.contract[0]));
    assert_eq!(refused(|raw| raw.contract.push(raw.contract[0].clone())), "contract");
    assert_eq!(first(|contract| contract.proxy = contract.proxy.to_lowercase()), "contract[0].proxy");
    assert_eq!(first(|contract| contract.endpoints.clear()), "contract[0].endpoints");
    assert_eq!(first(|contract| contract.code.clear()), "contract[0].code");
    assert_eq!(first(|contract| contract.code[0].truncate(64)), "contract[0].code[0]");
    assert_eq!(first(|contract| contract.agree = 2), "contract[0].agree");
    assert_eq!(first(|contract| contract.reply_bytes_max = 1024), "contract[0].reply_bytes_max");
    assert_eq!(first(|contract| contract.reply_bytes_max = usize::MAX), "contract[0].reply_bytes_max");
    assert_eq!(first(|contract| contract.evidence = RawEvidence::Agreement), "contract[0].agree");
    assert_eq!(first(|contract| contract.finality = RawFinality::Depth(1 << 40)), "contract[0].finality");
    assert_eq!(first(|contract| contract.destinations.push("1".to_owned())), "contract[0].destinations");
    assert_eq!(first(|contract| contract.wait_blocks = 0), "contract[0].wait_blocks");
    assert_eq!(first(|contract| contract.price_percent = 99), "contract[0].price_percent");
    assert_eq!(first(|contract| (contract.tip_wei, contract.price_max_wei) = (2, 1)), "contract[0].price_max_wei");
    assert_eq!(first(|contract| contract.max_loss_per_day_wei = 1), "contract[0].max_loss_per_day_wei");
    assert_eq!(first(|contract| contract.call_timeout = Duration::ZERO), "contract[0].call_timeout");
    let depth_zero = RawContract { finality: RawFinality::Depth(0), ..example().contract[0].clone() };
    let config = RawConfig { contract: vec![depth_zero], ..example() }.check(Path::new("/etc"));
    assert_eq!(config.is_ok(), cfg!(feature = "devnet"), "a development build takes no finality at all");
}

#[test]
fn finality_is_a_word_or_a_number() {
    let with = |finality: &str| {
        let text = EXAMPLE.replace("finality = \"finalized\"", &format!("finality = {finality}"));
        RawConfig::parse(&text).map(|raw| raw.contract[0].finality)
    };
    assert_eq!(with("\"finalized\"").unwrap(), RawFinality::Finalized);
    assert_eq!(with("12").unwrap(), RawFinality::Depth(12));
    assert!(with("\"safe\"").is_err() && with("-1").is_err());
}

#[test]
fn nobody_listens_for_monitoring_unless_asked_to_and_then_on_loopback() {
    let mut raw = example();
    raw.monitoring = None;
    assert_eq!(raw.check(Path::new("/etc")).unwrap().monitoring, None);
    let text = format!("{}[monitoring]\n", EXAMPLE.split("[monitoring]").next().unwrap());
    let config = Config::parse(&text, Path::new("/etc")).unwrap();
    let expected = MonitoringConfig { listen: "127.0.0.1:9464".parse().unwrap(), connections_max: 8 };
    assert_eq!(config.monitoring, Some(expected));
}

#[test]
fn a_secret_written_into_the_file_is_refused() {
    let text = EXAMPLE.replace("{ credential = \"node-identity\" }", "\"deadbeef\"");
    assert_ne!(text, EXAMPLE);
    assert!(RawConfig::parse(&text).is_err());
}

#[test]
fn pkcs11_is_refused_in_clear_words() {
    let text = EXAMPLE.replace("{ credential = \"node-identity\" }", "{ pkcs11 = \"pkcs11:object=x\" }");
    let error = Config::parse(&text, Path::new("/etc")).unwrap_err().to_string();
    assert!(error.contains("PKCS#11") && error.contains("node.identity"), "{error}");
}

#[test]
fn endpoints_print_without_their_credentials() {
    let mut raw = example();
    raw.chain[0].endpoints = vec!["https://user:hunter2@node.example:9443/token/abc?key=secret".to_owned()];
    let config = raw.check(Path::new("/etc")).unwrap();
    assert_eq!(config.chains[0].endpoints[0].to_string(), "https://node.example:9443");
    let printed = format!("{config:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("abc") && !printed.contains("secret"), "{printed}");
}

#[test]
fn relative_paths_are_taken_from_the_files_folder() {
    let mut raw = example();
    raw.node.roster = "roster.toml".into();
    raw.node.data_dir = "data".into();
    raw.node.admin_socket = None;
    raw.chain[0].account = SecretRef::File("account.key".into());
    let config = raw.check(Path::new("/srv/alpha")).unwrap();
    assert_eq!(config.node.roster, Path::new("/srv/alpha/roster.toml"));
    assert_eq!(config.node.admin_socket, Path::new("/srv/alpha/data/admin.sock"));
    assert_eq!(config.chains[0].account, SecretRef::File("/srv/alpha/account.key".into()));
}
