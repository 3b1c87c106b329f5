//! Faults at start. Each is brought about, the program is run, and its words and exit code are compared with the row of the
//! operator's table; then the fault is undone, and the store opens with the share that it held.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use keyring::store::{Argon2Cost, Entry, RocksStore, Store as _, Table, Unlock};
use zeroize::Zeroizing;

use crate::crew::program;
use crate::ground::{Terms, party_folder, randomness, unlock, write_parties};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const KEY: [u8; 32] = [0x4B; 32];
const SHARE: &[u8] = b"what the store holds, whatever happens to the machine";
/// Far longer than a start takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A row of the operator's table.
struct Row {
    says: String,
    code: i32,
}

/// The rows of the table under "Faults at start", by fault.
fn rows() -> BTreeMap<String, Row> {
    let section = OPERATIONS.split("### Faults at start").nth(1).expect("the section is there");
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "fault, words, code, remedy: {line}");
        assert!(!cells[3].is_empty(), "every fault has a remedy: {line}");
        let says = cells[1].trim_matches('`').to_owned();
        (cells[0].to_owned(), Row { says, code: cells[2].parse().expect(line) })
    };
    table.skip(2).map(row).collect()
}

/// Two parties on a disk, whose chain is not there: party 0 is the one that starts.
struct Bench {
    folder: tempfile::TempDir,
    /// Held while the fault lasts.
    held: Vec<Box<dyn std::any::Any>>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let terms = Terms { dealt: false, ..Terms::of(2, 2) };
        write_parties(folder.path(), terms, (&["http://127.0.0.1:9".to_owned()], "keyring1k6vc6vhp6e6l3rxalue9v4ux"));
        let bench = Self { folder, held: Vec::new() };
        bench.open().append(&[Entry::once(Table::Share, KEY, SHARE)]).unwrap();
        bench
    }

    fn own(&self) -> PathBuf {
        party_folder(self.folder.path(), 0)
    }

    fn other(&self) -> PathBuf {
        party_folder(self.folder.path(), 1)
    }

    fn data(&self) -> PathBuf {
        self.own().join("data")
    }

    fn config(&self) -> PathBuf {
        self.own().join("keyringd.toml")
    }

    fn open(&self) -> RocksStore {
        RocksStore::open(&self.data(), &unlock(0), randomness(7)).unwrap()
    }

    /// Changes a text file, and gives back what undoes it.
    fn edit(path: PathBuf, change: impl FnOnce(&str) -> String) -> Undo {
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed, "the fault changes something");
        fs::write(&path, changed).unwrap();
        Box::new(move || fs::write(&path, text).unwrap())
    }

    fn replace(&self, from: &str, to: &str) -> Undo {
        Self::edit(self.config(), |text| text.replacen(from, to, 1))
    }

    fn spawn(&self) -> Child {
        Command::new(program())
            .args(["run", "--prepared-primes", "0", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs the program to its end.
    fn run(&self) -> (ExitStatus, String) {
        let mut child = self.spawn();
        let mut waited = Duration::ZERO;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if waited > PATIENCE {
                child.kill().unwrap();
                panic!("it starts, whatever is wrong");
            }
            std::thread::sleep(Duration::from_millis(20));
            waited += Duration::from_millis(20);
        };
        let output = child.wait_with_output().unwrap();
        (status, String::from_utf8(output.stderr).unwrap())
    }
}

/// Makes a fault undone.
type Undo = Box<dyn FnOnce()>;

fn nothing_to_undo() -> Undo {
    Box::new(|| ())
}

fn rename(from: PathBuf, to: PathBuf) -> Undo {
    fs::rename(&from, &to).unwrap();
    Box::new(move || fs::rename(to, from).unwrap())
}

fn mode(path: PathBuf, bits: u32) -> Undo {
    let before = fs::metadata(&path).unwrap().permissions();
    fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
    Box::new(move || fs::set_permissions(path, before).unwrap())
}

/// Exchanges two files or folders.
fn swap(one: PathBuf, other: PathBuf) -> Undo {
    let exchange = |one: &Path, other: &Path| {
        let aside = one.with_extension("aside");
        fs::rename(one, &aside).unwrap();
        fs::rename(other, one).unwrap();
        fs::rename(&aside, other).unwrap();
    };
    exchange(&one, &other);
    Box::new(move || exchange(&one, &other))
}

/// Changes one record of the header behind the program's back.
fn header(data: PathBuf, key: &'static [u8], change: impl FnOnce(&mut Vec<u8>)) -> Undo {
    let before = with_database(&data, |database| database.get(key).unwrap().unwrap());
    let mut changed = before.clone();
    change(&mut changed);
    with_database(&data, |database| database.put(key, changed).unwrap());
    Box::new(move || with_database(&data, |database| database.put(key, before).unwrap()))
}

fn with_database<T>(data: &Path, look: impl FnOnce(&rocksdb::DB) -> T) -> T {
    let names = std::iter::once("default").chain(Table::ALL.map(Table::name));
    look(&rocksdb::DB::open_cf(&rocksdb::Options::default(), data.join("database"), names).unwrap())
}

/// One fault: how it comes about, and what its message must name.
struct Fault {
    name: &'static str,
    /// The field or file at fault.
    names: &'static str,
    /// Whether the store is not even touched.
    untouched: bool,
    happens: fn(&mut Bench) -> Undo,
}

const fn before(name: &'static str, names: &'static str, happens: fn(&mut Bench) -> Undo) -> Fault {
    Fault { name, names, untouched: true, happens }
}

const fn within(name: &'static str, names: &'static str, happens: fn(&mut Bench) -> Undo) -> Fault {
    Fault { name, names, untouched: false, happens }
}

const FAULTS: &[Fault] = &[
    before("no configuration", "keyringd.toml", |bench| rename(bench.config(), bench.own().join("elsewhere"))),
    before("configuration that is no TOML", "line 3", |bench| bench.replace("name =", "name")),
    before("unknown field", "data_folder", |bench| bench.replace("data_dir", "data_folder")),
    before("value out of range", "chain[0].poll_interval", |bench| bench.replace("\"100ms\"", "\"1ms\"")),
    before("no roster", "roster.toml", |bench| {
        rename(bench.folder.path().join("roster.toml"), bench.folder.path().join("elsewhere"))
    }),
    before("altered roster", "party-0", |bench| {
        Bench::edit(bench.folder.path().join("roster.toml"), |text| text.replacen("epoch = 1", "epoch = 2", 1))
    }),
    before("identity of a stranger", "node.identity", |bench| {
        let path = bench.own().join("identity");
        let before = fs::read(&path).unwrap();
        fs::write(&path, [9; 32]).unwrap();
        Box::new(move || fs::write(path, before).unwrap())
    }),
    before("swapped identity", "node.name", |bench| swap(bench.own().join("identity"), bench.other().join("identity"))),
    within("swapped account", "chain zenrock", |bench| {
        swap(bench.own().join("account"), bench.other().join("account"))
    }),
    within("swapped store", "node.data_dir", |bench| {
        // The other party has run before, so its store knows whose it is.
        let other = RocksStore::open(&bench.other().join("data"), &unlock(1), randomness(8)).unwrap();
        keyring::store::owner_or_claim(&other, &[1; 32]).unwrap();
        drop(other);
        let data = swap(bench.data(), bench.other().join("data"));
        let key = swap(bench.own().join("store.key"), bench.other().join("store.key"));
        Box::new(move || {
            data();
            key();
        })
    }),
    before("secret that is not there", "node.identity", |bench| {
        rename(bench.own().join("identity"), bench.own().join("elsewhere"))
    }),
    before("secret that others may read", "store.unlock", |bench| mode(bench.own().join("store.key"), 0o640)),
    before("secret of a wrong length", "store.unlock", |bench| {
        let path = bench.own().join("store.key");
        let before = fs::read(&path).unwrap();
        fs::write(&path, b"too short").unwrap();
        Box::new(move || fs::write(path, before).unwrap())
    }),
    before("data directory that others may enter", "data", |bench| mode(bench.data(), 0o755)),
    before("no store", "node.data_dir", |bench| rename(bench.data().join("database"), bench.data().join("elsewhere"))),
    within("wrong key file", "store.unlock", |bench| {
        let path = bench.own().join("store.key");
        let before = fs::read(&path).unwrap();
        fs::write(&path, [9; 32]).unwrap();
        Box::new(move || fs::write(path, before).unwrap())
    }),
    within("wrong passphrase", "store.unlock", |bench| {
        let (data, aside) = (bench.data(), bench.own().join("aside"));
        let back = rename(data.clone(), aside);
        let cheap = Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let right = Unlock::Passphrase(Zeroizing::new(b"the right passphrase".to_vec()));
        drop(RocksStore::create(&data, &right, cheap, randomness(9)).unwrap());
        let path = bench.own().join("store.key");
        let before = fs::read(&path).unwrap();
        fs::write(&path, "a wrong passphrase\n").unwrap();
        let config = bench.replace("keyfile =", "passphrase =");
        Box::new(move || {
            config();
            fs::write(path, before).unwrap();
            fs::remove_dir_all(data).unwrap();
            back();
        })
    }),
    within("other kind of unlocking", "store.unlock", |bench| bench.replace("keyfile =", "passphrase =")),
    within("store of a newer program", "schema", |bench| {
        header(bench.data(), b"schema", |schema| *schema = 999_u16.to_be_bytes().to_vec())
    }),
    within("interrupted restore", "data", |bench| {
        bench.open().append(&[Entry::put(Table::Meta, "restoring", "")]).unwrap();
        let data = bench.data();
        Box::new(move || {
            let store = RocksStore::open(&data, &unlock(0), randomness(7)).unwrap();
            store.append(&[Entry::delete(Table::Meta, "restoring")]).unwrap();
        })
    }),
    within("store in use", "data", |bench| {
        bench.held.push(Box::new(bench.open()));
        nothing_to_undo()
    }),
    within("damaged record", "head", |bench| {
        header(bench.data(), b"head", |sealed| {
            if let Some(last) = sealed.last_mut() {
                *last ^= 1;
            }
        })
    }),
    within("damaged database", "disk", |bench| {
        let path = bench.data().join("database").join("CURRENT");
        Bench::edit(path, |_| "MANIFEST-999999\n".to_owned())
    }),
    within("port in use", "node.listen", |bench| {
        let text = fs::read_to_string(bench.config()).unwrap();
        let port = text.split("/tcp/").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let listener = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
        bench.held.push(Box::new(listener));
        nothing_to_undo()
    }),
    within("something else in place of the admin socket", "node.admin_socket", |bench| {
        let path = bench.data().join("admin.sock");
        fs::write(&path, "not a socket").unwrap();
        Box::new(move || {
            assert_eq!(fs::read_to_string(&path).unwrap(), "not a socket", "it is left alone");
            fs::remove_file(path).unwrap();
        })
    }),
    before("log file that cannot be opened", "log.file", |bench| {
        bench.replace("level = \"info\"", "level = \"info\"\nfile = \"no/such/folder/keyringd.log\"")
    }),
];

/// Every file of a store by name and contents.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, bytes);
        }
    }
    all
}

#[test]
fn every_fault_at_start_is_told_with_field_and_remedy_and_leaves_the_store_whole() {
    let rows = rows();
    let known: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    let told: Vec<&str> = rows.keys().map(String::as_str).collect();
    let mut sorted = known.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, told, "the table in docs/operations.md and the faults here are the same");
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let row = &rows[fault.name];
        let mut bench = Bench::new();
        let whole = contents(&bench.data());
        let undo = (fault.happens)(&mut bench);
        let (status, said) = bench.run();
        bench.held.clear();
        undo();
        if fault.untouched && contents(&bench.data()) != whole {
            wrong.push(format!("{}: the store was changed", fault.name));
        }
        let share = bench.open().read(Table::Share, &KEY).unwrap();
        assert_eq!(share.as_deref().map(Vec::as_slice), Some(SHARE), "{}: the share is there", fault.name);
        if status.code() != Some(row.code) {
            wrong.push(format!("{}: ends with {status}, the table says {}:\n{said}", fault.name, row.code));
        }
        if !said.contains(&row.says) || !said.contains(fault.names) {
            wrong.push(format!("{}: should say {:?} and name {:?}:\n{said}", fault.name, row.says, fault.names));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_fault_it_starts_and_ends_well_and_its_store_is_its_own() {
    let bench = Bench::new();
    let mut child = bench.spawn();
    let socket = bench.data().join("admin.sock");
    let mut waited = Duration::ZERO;
    while !socket.exists() {
        assert!(child.try_wait().unwrap().is_none() && waited < PATIENCE, "it runs");
        std::thread::sleep(Duration::from_millis(20));
        waited += Duration::from_millis(20);
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // It listens for the signal a moment after its socket is there.
    std::thread::sleep(Duration::from_millis(500));
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let store = bench.open();
    assert!(store.read(Table::Share, &KEY).unwrap().is_some());
    let identity = keyring::identity::NodeIdentity::from_secret(&fs::read(bench.own().join("identity")).unwrap());
    assert_eq!(keyring::store::owner_or_claim(&store, &[0; 32]).unwrap(), identity.unwrap().public());
}
