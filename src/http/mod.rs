//! What every unit's HTTP face has in common: bounds, errors with a body, request ids, metrics, an end
//! without loss.

mod callers;
mod error;
mod layers;
mod metrics;
mod params;
mod serve;
#[cfg(test)]
mod tests;

pub use callers::{Caller, NoAddress, Rate, Trusted, rated};
pub use error::{Body, Failure};
pub use layers::dressed;
pub use metrics::prometheus;
pub use params::Params;
pub use serve::{Peer, serve};

use std::time::Duration;

/// What a client may use up. None of these changes a result.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a request's line and headers together.
    pub head_bytes: usize,
    /// Connections that are open at a time; more wait until one is closed.
    pub connections: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// Until a request's headers are there; also how long an idle connection is kept.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub pause: Duration,
    /// From the headers to the answer.
    pub answer: Duration,
    /// For requests that are under way when the program is told to end.
    pub drain: Duration,
    /// Whose word on whom they speak for is believed.
    pub trusted: Trusted,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 20,
            head_bytes: 64 << 10,
            connections: 4096,
            streams: 128,
            head: Duration::from_secs(15),
            pause: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            trusted: Trusted::default(),
        }
    }
}
