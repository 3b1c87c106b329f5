//! `keyringd init`: makes what must never be made in passing.

use super::{ConfigArgs, say};
use crate::config::{Config, ProcessEnvironment, SecretRef};
use crate::identity::NodeIdentity;
use crate::report::Report;
use crate::store::{Argon2Cost, RocksStore};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Makes the store, and the identity if its reference is a file that does not exist yet.
pub(super) fn init(args: &ConfigArgs) -> Result<(), Report> {
    let config = Config::load(&args.config)?;
    let mut rng = ChaCha20Rng::from_entropy();
    let identity = match &config.node.identity {
        SecretRef::File(path) if !path.exists() => {
            let identity = NodeIdentity::generate(&mut rng);
            identity.save_new(path)?;
            say(&format!("made the node identity {}\n", path.display()))?;
            identity
        }
        reference => NodeIdentity::from_seed(&reference.key(&ProcessEnvironment)?),
    };
    // Told first, so that a second call still shows what the roster needs.
    say(&format!("node key for the roster: {}\n", hex::encode(identity.public())))?;
    let unlock = config.store.unlock(&ProcessEnvironment)?;
    let folder = &config.node.data_dir;
    drop(RocksStore::create(folder, &unlock, Argon2Cost::default(), Box::new(rng))?);
    say(&format!("made the store in {}\n", folder.display()))
}
