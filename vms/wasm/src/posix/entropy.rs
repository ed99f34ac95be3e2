//! `/dev/random` and `/dev/urandom`: the reference gives real entropy, we a stream that the call
//! seeds.

/// A stream of bytes that depends on its seed alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entropy {
    seed: [u8; 32],
    position: u64,
}

impl Entropy {
    /// The stream of `seed`, from its start. A seed of zeros gives zeros.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, position: 0 }
    }

    /// The next bytes.
    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        if self.seed == [0; 32] {
            into.fill(0);
            return;
        }
        let mut stream = blake3::Hasher::new_keyed(&self.seed).finalize_xof();
        stream.set_position(self.position);
        stream.fill(into);
        self.position = self.position.saturating_add(into.len() as u64);
    }
}
