//! Whose memory a store is. A node that acts with another party's shares and promises would contradict both.

use super::{Entry, Store, StoreError, Table};

/// Where the owner's node key is written, once.
pub const OWNER: &[u8] = b"owner";

/// The node key of the party that this store belongs to, if anybody has claimed it.
///
/// # Errors
/// As reading the store.
pub fn owner(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.read(Table::Meta, OWNER)?.map(|owner| owner.to_vec()))
}

/// The node key of the party that this store belongs to; written now, with `node_key`, if nobody has claimed it yet.
///
/// # Errors
/// As reading and writing the store.
pub fn owner_or_claim(store: &dyn Store, node_key: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
    if let Some(owner) = owner(store)? {
        return Ok(owner);
    }
    store.append(&[Entry::once(Table::Meta, OWNER, *node_key)])?;
    Ok(node_key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn the_first_to_come_owns_the_store_for_ever() {
        let store = MemoryStore::new(1);
        assert_eq!(owner_or_claim(&store, &[7; 32]).unwrap(), [7; 32]);
        let head = store.head();
        assert_eq!(owner_or_claim(&store, &[8; 32]).unwrap(), [7; 32]);
        assert_eq!(store.head(), head, "asking writes nothing");
    }
}
