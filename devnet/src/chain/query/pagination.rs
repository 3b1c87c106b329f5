//! Pages, as the SDK makes them over its collections: the rules that a client must know to lose nothing.
//!
//! Without a key the limit counts *matching* entries; with a key it counts *scanned* ones, so a page may be empty while
//! more follow. Offsets skip raw entries, before any filter.

use std::ops::Bound;

use chain_client::proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};

use crate::chain::fault::QueryError;
use crate::chain::state::Map;

const DEFAULT_LIMIT: u64 = 100;

/// A store key as clients see it in `next_key`.
pub(super) trait StoreKey: Ord + Clone {
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Result<Self, QueryError>;
}

impl StoreKey for u64 {
    fn encode(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, QueryError> {
        let bytes = bytes.try_into();
        bytes
            .map(Self::from_be_bytes)
            .map_err(|_| QueryError::unknown("collections: encoding error: invalid buffer size"))
    }
}

impl StoreKey for String {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, QueryError> {
        Self::from_utf8(bytes.to_vec()).map_err(|_| QueryError::unknown("collections: encoding error: invalid text"))
    }
}

/// One page of a map: what `pick` makes of the entries it takes.
pub(super) fn page<K: StoreKey, V, T>(
    map: &Map<K, V>,
    request: Option<&PageRequest>,
    pick: impl FnMut(&V) -> Option<T>,
) -> Result<(Vec<T>, PageResponse), QueryError> {
    let default = PageRequest::default();
    let request = request.unwrap_or(&default);
    if request.offset > 0 && !request.key.is_empty() {
        return Err(QueryError::unknown("invalid request, either offset or key is expected, got both"));
    }
    let (limit, count_total) =
        if request.limit == 0 { (DEFAULT_LIMIT, true) } else { (request.limit, request.count_total) };
    if request.key.is_empty() {
        let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
        return Ok(match request.reverse {
            false => without_key(map.iter(), offset, request.offset, limit, count_total, pick),
            true => without_key(map.iter().rev(), offset, request.offset, limit, count_total, pick),
        });
    }
    let key = K::decode(&request.key)?;
    Ok(match request.reverse {
        false => with_key(map.range(key..), limit, pick),
        true => {
            // The end is the second entry from the key on, exclusive.
            let end = map.range(key..).nth(1).map(|(key, _)| key.clone());
            let bound = end.map_or(Bound::Unbounded, Bound::Excluded);
            with_key(map.range((Bound::Unbounded, bound)).rev(), limit, pick)
        }
    })
}

fn without_key<'a, K: StoreKey + 'a, V: 'a, T>(
    mut entries: impl Iterator<Item = (&'a K, &'a V)>,
    skipped: usize,
    offset: u64,
    limit: u64,
    count_total: bool,
    mut pick: impl FnMut(&V) -> Option<T>,
) -> (Vec<T>, PageResponse) {
    // An offset past the end gives nothing at all, not even a total.
    if skipped > 0 && entries.nth(skipped - 1).is_none() {
        return (Vec::new(), PageResponse::default());
    }
    let mut found = Vec::new();
    let mut count = 0_u64;
    let mut page = PageResponse::default();
    for (key, value) in entries {
        if count < limit {
            if let Some(item) = pick(value) {
                found.push(item);
                count += 1;
            }
            continue;
        }
        if count == limit {
            page.next_key = key.encode();
            if !count_total {
                return (found, page);
            }
        }
        if pick(value).is_some() {
            count += 1;
        }
    }
    if count_total {
        page.total = count + offset;
    }
    (found, page)
}

fn with_key<'a, K: StoreKey + 'a, V: 'a, T>(
    entries: impl Iterator<Item = (&'a K, &'a V)>,
    limit: u64,
    mut pick: impl FnMut(&V) -> Option<T>,
) -> (Vec<T>, PageResponse) {
    let mut found = Vec::new();
    let mut page = PageResponse::default();
    for (scanned, (key, value)) in entries.enumerate() {
        if scanned as u64 == limit {
            page.next_key = key.encode();
            break;
        }
        found.extend(pick(value));
    }
    (found, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u64) -> Map<u64, u64> {
        (1..=count).map(|number| (number, number)).collect()
    }

    fn even(number: &u64) -> Option<u64> {
        number.is_multiple_of(2).then_some(*number)
    }

    fn request() -> PageRequest {
        PageRequest::default()
    }

    #[test]
    fn without_a_key_the_limit_counts_matches() {
        let asked = PageRequest { limit: 2, ..request() };
        let (found, page) = page(&numbers(10), Some(&asked), even).expect("a page");
        assert_eq!(found, [2, 4]);
        assert_eq!(page.next_key, 5_u64.to_be_bytes(), "the entry right after the last match");
        assert_eq!(page.total, 0);
    }

    #[test]
    fn a_counted_total_slides_the_next_key_to_a_match() {
        let asked = PageRequest { limit: 2, count_total: true, ..request() };
        let (_, page) = page(&numbers(10), Some(&asked), even).expect("a page");
        assert_eq!((page.next_key, page.total), (6_u64.to_be_bytes().to_vec(), 5));
    }

    #[test]
    fn with_a_key_the_limit_counts_scanned_entries() {
        let asked = PageRequest { limit: 1, key: 3_u64.encode(), ..request() };
        let (found, page) = page(&numbers(10), Some(&asked), even).expect("a page");
        assert!(found.is_empty(), "empty, and not the end");
        assert_eq!(page.next_key, 4_u64.to_be_bytes());
    }

    #[test]
    fn backwards_starts_at_the_key_itself() {
        let asked = PageRequest { limit: 3, key: 6_u64.encode(), reverse: true, ..request() };
        let (found, page) = page(&numbers(10), Some(&asked), even).expect("a page");
        assert_eq!(found, [6, 4]);
        assert_eq!(page.next_key, 3_u64.to_be_bytes());
    }

    #[test]
    fn offsets_skip_raw_entries_and_end_quietly() {
        let asked = PageRequest { limit: 1, offset: 3, ..request() };
        assert_eq!(page(&numbers(10), Some(&asked), even).expect("a page").0, [4]);
        let asked = PageRequest { limit: 1, offset: 1_000, ..request() };
        let (found, next) = page(&numbers(10), Some(&asked), even).expect("a page");
        assert!(found.is_empty());
        assert_eq!(next, PageResponse::default());
    }

    #[test]
    fn offset_and_key_together_are_an_error() {
        let asked = PageRequest { offset: 1, key: 1_u64.encode(), ..request() };
        assert!(page(&numbers(10), Some(&asked), even).is_err());
    }

    #[test]
    fn no_limit_is_a_hundred_and_counts() {
        let (found, page) = page(&numbers(150), None, |number| Some(*number)).expect("a page");
        assert_eq!((found.len(), page.total), (100, 150));
    }
}
