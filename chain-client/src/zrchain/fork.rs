//! Whether all endpoints follow one chain: one height has one block.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ZrChain;
use crate::name::{EndpointId, Height};

/// One height, several blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fork {
    /// The height.
    pub height: Height,
    /// Which endpoint shows which block there.
    pub sides: BTreeMap<EndpointId, [u8; 32]>,
}

impl fmt::Display for Fork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at height {}", self.height)?;
        for (endpoint, hash) in &self.sides {
            let short = hash.get(..4).map(hex::encode_upper).unwrap_or_default();
            write!(out, ", {endpoint} shows block {short}…")?;
        }
        Ok(())
    }
}

/// What comparing the endpoints' blocks at one height showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// These show the same block; the others could not be compared.
    Same(BTreeSet<EndpointId>),
    /// Somebody is on another chain, or lies.
    Forked(Fork),
}

impl Comparison {
    fn of(height: Height, blocks: BTreeMap<EndpointId, [u8; 32]>) -> Self {
        let hashes: BTreeSet<_> = blocks.values().collect();
        if hashes.len() > 1 {
            return Self::Forked(Fork { height, sides: blocks });
        }
        Self::Same(blocks.into_keys().collect())
    }
}

impl ZrChain {
    /// Compares the endpoints at the newest height that all have whoever answers. An endpoint that no longer keeps that
    /// block, because another is far behind, is left out.
    pub async fn compare(&self) -> Comparison {
        let survey = self.survey().await;
        let heads: BTreeMap<EndpointId, _> =
            survey.into_iter().filter_map(|(endpoint, head)| Some((endpoint, head.ok()?))).collect();
        let Some(common) = heads.values().map(|head| head.height).min() else {
            return Comparison::Same(BTreeSet::new());
        };
        let mut blocks: BTreeMap<EndpointId, [u8; 32]> =
            heads.iter().filter(|(_, head)| head.height == common).map(|(id, head)| (*id, head.hash)).collect();
        if blocks.len() < heads.len() {
            let asked = self.endpoints.each(async |node| Ok(self.block_at(node, common).await?.value.hash)).await;
            // An endpoint that gives a height another block now than a moment ago is left at its first word.
            for (endpoint, hash) in asked.into_iter().filter_map(|(id, hash)| Some((id, hash.ok()?))) {
                blocks.entry(endpoint).or_insert(hash);
            }
        }
        Comparison::of(common, blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_height_with_two_blocks_is_a_fork_and_names_both_sides() {
        let blocks = |hashes: &[u8]| (0..).map(EndpointId).zip(hashes.iter().map(|hash| [*hash; 32])).collect();
        assert!(matches!(Comparison::of(Height(7), blocks(&[1, 1])), Comparison::Same(all) if all.len() == 2));
        assert!(matches!(Comparison::of(Height(7), blocks(&[])), Comparison::Same(all) if all.is_empty()));
        let Comparison::Forked(fork) = Comparison::of(Height(7), blocks(&[1, 2, 1])) else { panic!("it is a fork") };
        let text = fork.to_string();
        assert_eq!(
            text,
            "at height 7, endpoint 0 shows block 01010101…, endpoint 1 shows block 02020202…, endpoint 2 shows block 01010101…"
        );
    }
}
