//! Finished keys, made ahead of requests: lanes, `stored` certificates, and the write-once binding table (law 6).
//!
//! A key is on the shelf when all `n` parties have stated, provably, that their share is durably stored. Those `n`
//! statements are its certificate and travel with it to whoever lacks them. Each party leads from its own lane only.
//! Binding a key to a request is written once, in one table of the node for all chains and keyrings, in the same write
//! as the join that binds it.
//!
//! The indexes in memory hold free and unfinished keys only, so they are as small as the configured lanes, whatever the
//! number of keys ever made. This room refuses to know about ballots and sockets; it asks the store and answers with
//! entries to write.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::{KeyId, KeyInfo, PartyIndex, Possession, Suite};
use serde::{Deserialize, Serialize};

use crate::committee::Committee;
use crate::decree::DecreeId;
use crate::message::{Content, Envelope};
use crate::node::Records;
use crate::planted::{self, Plant};
use crate::stock::Stored;
use crate::store::{Entry, Store, StoreError, Table};

/// Value of an entry of [`Table::Shelf`] whose key may be bound by a memory that this party has lost: it is offered to
/// nobody, and no proposal that names it is joined. Its request is learned from a decision, or never. Others are empty.
pub const FORGOTTEN: &[u8] = b"forgotten";
/// Unfinished keys remembered of peers, before their own share is here.
const UNFINISHED_MAX: usize = 256;

/// What is known of a key, without secrets. One record per key in [`Table::Key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Roster epoch that made it.
    pub epoch: u64,
    /// Whose lane it was made for.
    pub lane: PartyIndex,
    /// [`KeyInfo::encode`].
    pub info: Vec<u8>,
    /// Its certificate: the `n` statements that it is stored. Empty until all are here.
    pub certificate: Vec<Envelope>,
}

/// A stored record that cannot be read back: the store is damaged or newer.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record does not decode.
    #[error("{what} of {key:?} does not decode: the store is damaged or was written by a newer program")]
    Record {
        /// Which record.
        what: &'static str,
        /// Of which key.
        key: KeyId,
    },
}

/// Free keys per lane and curve, and keys that are not finished yet.
#[derive(Debug, Default)]
pub struct Shelf {
    free: BTreeMap<(PartyIndex, Suite), BTreeSet<KeyId>>,
    unfinished: BTreeMap<KeyId, BTreeMap<PartyIndex, Envelope>>,
    /// Own shares that are stored and still wait for the others' statements.
    own_unfinished: BTreeSet<KeyId>,
}

impl Shelf {
    /// The shelf as the store remembers it.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn recover(store: &dyn Store) -> Result<Self, ShelfError> {
        let mut shelf = Self::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = store.scan(Table::Shelf, b"", after.as_deref(), 512)?;
            let Some((last, _)) = page.last() else { return Ok(shelf) };
            after = Some(last.clone());
            for (name, mark) in &page {
                let Some(key) = index_key(name).filter(|_| mark.as_slice() != FORGOTTEN) else { continue };
                let record = read_record(&store, key)?.ok_or(ShelfError::Record { what: "record", key })?;
                let info = decode_info(&record, key)?;
                if record.certificate.is_empty() {
                    shelf.own_unfinished.insert(key);
                } else {
                    shelf.free.entry((record.lane, info.suite())).or_default().insert(key);
                }
            }
        }
    }

    /// Free finished keys of a lane.
    #[must_use]
    pub fn free_in(&self, lane: PartyIndex, suite: Suite) -> usize {
        self.free.get(&(lane, suite)).map_or(0, BTreeSet::len)
    }

    /// Finished keys that no request has, in all lanes.
    pub fn free(&self) -> impl Iterator<Item = (PartyIndex, Suite, KeyId)> {
        self.free.iter().flat_map(|((lane, suite), keys)| keys.iter().map(|key| (*lane, *suite, *key)))
    }

    /// Own keys whose certificate is not complete; their statements are said again to peers that come up.
    pub fn unfinished(&self) -> impl Iterator<Item = KeyId> {
        self.own_unfinished.iter().copied()
    }

    /// The next free key of a lane, if there is one.
    #[must_use]
    pub fn take_from(&self, lane: PartyIndex, suite: Suite, except: impl Fn(&KeyId) -> bool) -> Option<KeyId> {
        let taken = |key| except(key) && !planted::is(Plant::OneKeyForTwoRequests);
        self.free.get(&(lane, suite))?.iter().find(|key| !taken(*key)).copied()
    }

    /// A share was made here: what to write so that it is durable. It is stated as stored only after it was read back.
    #[must_use]
    pub fn made(&mut self, epoch: u64, lane: PartyIndex, share: &mpc_core::KeyShare) -> Vec<Entry> {
        let key = share.info().key_id();
        let record = KeyRecord { epoch, lane, info: share.info().encode(), certificate: Vec::new() };
        self.own_unfinished.insert(key);
        vec![
            Entry::Put {
                table: Table::Share,
                key: key.as_bytes().to_vec(),
                value: share.encode(),
                rule: crate::store::Rule::WriteOnce,
            },
            Entry::put(Table::Key, key.as_bytes(), encode(&record)),
            Entry::put(Table::Shelf, key.as_bytes(), Vec::new()),
        ]
    }

    /// A statement that a key is stored, its signature checked. Writes the certificate when it is the last one.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn stated(
        &mut self,
        envelope: &Envelope,
        committee: &Committee,
        store: &dyn Records,
    ) -> Result<Vec<Entry>, ShelfError> {
        let Content::Stored(stored) = &envelope.content else { return Ok(Vec::new()) };
        let known = self.unfinished.contains_key(&stored.key) || self.own_unfinished.contains(&stored.key);
        if (!known && self.unfinished.len() >= UNFINISHED_MAX) || !proves_possession(envelope, stored, committee) {
            return Ok(Vec::new());
        }
        if read_record(store, stored.key)?.is_some_and(|record| !record.certificate.is_empty()) {
            return Ok(Vec::new());
        }
        let statements = self.unfinished.entry(stored.key).or_default();
        statements.insert(envelope.from, envelope.clone());
        let certificate: Vec<Envelope> = statements.values().cloned().collect();
        self.finish(stored.key, certificate, committee, store)
    }

    /// A certificate that travelled with a message. Writes it if it is whole and new.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn shown(
        &mut self,
        certificate: &[Envelope],
        committee: &Committee,
        store: &dyn Records,
    ) -> Result<Vec<Entry>, ShelfError> {
        let Some(Content::Stored(first)) = certificate.first().map(|envelope| &envelope.content) else {
            return Ok(Vec::new());
        };
        let key = first.key;
        if read_record(store, key)?.is_some_and(|record| !record.certificate.is_empty())
            || !certificate.iter().all(|envelope| {
                committee.vouches_for(envelope)
                    && matches!(&envelope.content, Content::Stored(stored)
                        if stored.key == key && proves_possession(envelope, stored, committee))
            })
        {
            return Ok(Vec::new());
        }
        self.finish(key, certificate.to_vec(), committee, store)
    }

    /// On the shelf once all `n` parties have stated the same public shares for it.
    fn finish(
        &mut self,
        key: KeyId,
        certificate: Vec<Envelope>,
        committee: &Committee,
        store: &dyn Records,
    ) -> Result<Vec<Entry>, ShelfError> {
        let mut speakers = BTreeSet::new();
        let mut claims = BTreeSet::new();
        let mut last = None;
        for envelope in &certificate {
            if let Content::Stored(stored) = &envelope.content {
                speakers.insert(envelope.from);
                claims.insert((stored.lane, stored.shares));
                last = Some(stored);
            }
        }
        let (Some(stored), true) = (last, speakers.len() == committee.size() && claims.len() == 1) else {
            return Ok(Vec::new());
        };
        let record = KeyRecord { epoch: committee.epoch(), lane: stored.lane, info: stored.info.clone(), certificate };
        let suite = decode_info(&record, key)?.suite();
        // The certificate holds this party's own statement, which it made with the share at hand: without a record of it
        // this disk has forgotten the key, and what became of it.
        let is_forgotten = is_forgotten(store, key)? || read_record(store, key)?.is_none();
        self.unfinished.remove(&key);
        self.own_unfinished.remove(&key);
        let mut entries = vec![Entry::put(Table::Key, key.as_bytes(), encode(&record))];
        if is_forgotten {
            entries.push(Entry::put(Table::Shelf, key.as_bytes(), FORGOTTEN));
        } else if binding(store, key)?.is_none() {
            self.free.entry((record.lane, suite)).or_default().insert(key);
            entries.push(Entry::put(Table::Shelf, key.as_bytes(), Vec::new()));
        }
        Ok(entries)
    }

    /// Binds a key to a request, write-once; it leaves the free keys. `Ok(None)` when it is bound to another already.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn bind(
        &mut self,
        key: KeyId,
        decree: &DecreeId,
        store: &dyn Records,
    ) -> Result<Option<Vec<Entry>>, ShelfError> {
        match binding(store, key)? {
            Some(bound) if bound == *decree || planted::is(Plant::OneKeyForTwoRequests) => Ok(Some(Vec::new())),
            Some(_) => Ok(None),
            None => {
                if !planted::is(Plant::OneKeyForTwoRequests) {
                    self.free.values_mut().for_each(|keys| {
                        keys.remove(&key);
                    });
                }
                Ok(Some(vec![
                    Entry::once(Table::Binding, key.as_bytes(), encode(decree)),
                    Entry::delete(Table::Shelf, key.as_bytes()),
                ]))
            }
        }
    }
}

/// The request a key is bound to.
///
/// # Errors
/// When the record cannot be read.
pub fn binding(store: &dyn Records, key: KeyId) -> Result<Option<DecreeId>, ShelfError> {
    store
        .read(Table::Binding, key.as_bytes())?
        .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| ShelfError::Record { what: "binding", key }))
        .transpose()
}

/// Whether a key may be bound by a memory that this party has lost.
///
/// # Errors
/// When the record cannot be read.
pub fn is_forgotten(store: &dyn Records, key: KeyId) -> Result<bool, ShelfError> {
    Ok(store.read(Table::Shelf, key.as_bytes())?.is_some_and(|mark| mark.as_slice() == FORGOTTEN))
}

/// What is known of a key.
///
/// # Errors
/// When the record cannot be read.
pub fn read_record(store: &dyn Records, key: KeyId) -> Result<Option<KeyRecord>, ShelfError> {
    store
        .read(Table::Key, key.as_bytes())?
        .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| ShelfError::Record { what: "record", key }))
        .transpose()
}

/// The public part of a key's share.
///
/// # Errors
/// When it does not decode or is another key's.
pub fn decode_info(record: &KeyRecord, key: KeyId) -> Result<KeyInfo, ShelfError> {
    KeyInfo::decode(&record.info)
        .ok()
        .filter(|info| info.key_id() == key)
        .ok_or(ShelfError::Record { what: "public part", key })
}

/// Whether a statement proves what it says: the speaker's own share of exactly this key, in this epoch and lane.
fn proves_possession(envelope: &Envelope, stored: &Stored, committee: &Committee) -> bool {
    let Ok(info) = KeyInfo::decode(&stored.info) else { return false };
    let context = Stored::context(committee.epoch(), stored.key, stored.lane, &stored.shares);
    info.key_id() == stored.key
        && info.threshold() == committee.threshold()
        && info.shares_digest() == stored.shares
        && committee.threshold().contains(stored.lane)
        && info.verify_possession(envelope.from, &context, &Possession::from_bytes(stored.possession.clone()))
}

fn index_key(name: &[u8]) -> Option<KeyId> {
    name.try_into().ok().map(KeyId::new)
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // postcard of these plain types cannot fail.
    postcard::to_stdvec(value).unwrap_or_default()
}
