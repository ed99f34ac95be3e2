//! The blocks that ticks between two messages need.

use super::Network;
use crate::cu::{CuError, cron::Point};

/// The most blocks between two messages: two years of them. More are a scheduler's mistake.
const BETWEEN_MAX: u64 = 1 << 19;

impl Network {
    /// The blocks above `from` up to `to`, all of them: a missing one would change what ticks.
    pub(super) async fn blocks(&self, from: u64, to: u64) -> Result<Vec<Point>, CuError> {
        let wanted = to.saturating_sub(from);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        if wanted > BETWEEN_MAX {
            return Err(super::refused(format!(
                "its schedule jumps over {wanted} blocks, from {from} to {to}"
            )));
        }
        let mut blocks = self.archive.blocks(from + 1, to).await?;
        blocks.retain(|block| block.block_height > from && block.block_height <= to);
        blocks.sort_by_key(|block| block.block_height);
        blocks.dedup_by_key(|block| block.block_height);
        if blocks.len() as u64 != wanted {
            return Err(CuError::Unreachable(format!(
                "the gateway knows {} of the {wanted} blocks from {} to {to}, which cron ticks depend on",
                blocks.len(),
                from + 1
            )));
        }
        Ok(blocks)
    }
}
