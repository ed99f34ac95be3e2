//! Dry-runs that were answered already.

use super::{DryRun, lock};
use crate::disk::Digest;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

/// The most bytes of answers that are kept.
const BYTES_MAX: usize = 64 << 20;

/// Answers by key. A key names state and message, so nothing expires by age: the least recently asked for
/// gives way.
#[derive(Default)]
pub(crate) struct DryRuns(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<Digest, (DryRun, u64)>,
    by_use: BTreeMap<u64, Digest>,
    uses: u64,
    bytes: usize,
}

impl DryRuns {
    pub(crate) fn get(&self, key: &Digest) -> Option<DryRun> {
        let mut kept = lock(&self.0);
        kept.uses += 1;
        let now = kept.uses;
        let (found, used) = kept.by_key.get_mut(key)?;
        let (found, before) = (found.clone(), std::mem::replace(used, now));
        kept.by_use.remove(&before);
        kept.by_use.insert(now, *key);
        Some(found)
    }

    pub(crate) fn put(&self, key: Digest, done: DryRun) {
        let mut kept = lock(&self.0);
        kept.uses += 1;
        let now = kept.uses;
        kept.bytes += size(&done);
        if let Some((old, used)) = kept.by_key.insert(key, (done, now)) {
            kept.bytes -= size(&old);
            kept.by_use.remove(&used);
        }
        kept.by_use.insert(now, key);
        while kept.bytes > BYTES_MAX {
            let Some((_, oldest)) = kept.by_use.pop_first() else { break };
            if let Some((old, _)) = kept.by_key.remove(&oldest) {
                kept.bytes -= size(&old);
            }
        }
    }
}

fn size(done: &DryRun) -> usize {
    512 + done.json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Fuel;

    fn done(bytes: usize) -> DryRun {
        let json = "x".repeat(bytes).into();
        DryRun { at: Default::default(), json, is_error: false, fuel: Fuel(0), root: None }
    }

    #[test]
    fn the_least_recently_used_gives_way() {
        let cache = DryRuns::default();
        let key = |n: u8| Digest([n; 32]);
        for n in 0..3 {
            cache.put(key(n), done(BYTES_MAX / 4));
        }
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(3), done(BYTES_MAX / 4));
        assert!(cache.get(&key(1)).is_none());
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(3)).is_some());
        cache.put(key(3), done(1));
        assert_eq!(cache.get(&key(3)).map(|done| done.json.len()), Some(1));
    }
}
