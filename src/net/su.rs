//! A scheduler, asked: the HTTP face that all schedulers of the network have.

use super::{Request, Response, Transport, TransportError};
use crate::{
    disk::json::Value,
    wire::schedule::{Page, Pair, ShapeError, Spawned},
};
use reqwest::Url;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// The most places asked for at once, as the reference asks.
const PAGE_LIMIT: u32 = 1000;
/// Tries of one request, and the pause after the first, which doubles.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A scheduler at an address. Cheap to clone.
#[derive(Clone)]
pub struct SuClient {
    base: Url,
    transport: Arc<dyn Transport>,
    /// Halved where a page does not come whole.
    limit: Arc<AtomicU32>,
    pause: Duration,
}

/// Why a scheduler gave no answer that helps.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SuError {
    /// It said no; asking again gives the same.
    #[error("the scheduler at {url} answered {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status, 4xx.
        status: u16,
        /// The start of what it said.
        body: String,
    },
    /// It failed, or cannot be reached. It may answer later.
    #[error("the scheduler at {url} does not answer: {why}")]
    Down {
        /// What was asked.
        url: String,
        /// What happened.
        why: String,
    },
    /// Its answer is not what a scheduler's should be.
    #[error("what the scheduler at {url} answered cannot be understood: {why}")]
    Shape {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        why: ShapeError,
    },
    /// Its address is none.
    #[error("{url:?} is no address of a scheduler: {why}")]
    Address {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What a scheduler's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuTime {
    /// Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// Height of the newest block.
    pub block_height: u64,
}

impl SuClient {
    /// The scheduler at `base`, reached over `transport`.
    pub fn new(base: &str, transport: Arc<dyn Transport>) -> Result<Self, SuError> {
        let bad = |why: String| SuError::Address { url: base.to_owned(), why };
        let parsed = Url::parse(base).map_err(|error| bad(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("it is neither http nor https".to_owned()));
        }
        let limit = Arc::new(AtomicU32::new(PAGE_LIMIT));
        Ok(Self { base: parsed, transport, limit, pause: PAUSE })
    }

    /// The same, with another pause after the first try.
    #[must_use]
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The process's own item.
    pub async fn process(&self, process: &str) -> Result<Spawned, SuError> {
        self.read(self.url(&["processes", process], &[]), Spawned::parse).await
    }

    /// A message or an assignment of `process`, by its id.
    pub async fn pair(&self, id: &str, process: &str) -> Result<Pair, SuError> {
        self.read(self.url(&[id], &[("process-id", process)]), Pair::parse).await
    }

    /// The newest message of `process`.
    pub async fn latest(&self, process: &str) -> Result<Pair, SuError> {
        self.read(self.url(&[process, "latest"], &[("process-id", process)]), Pair::parse).await
    }

    /// The places after `from_ms`, from the start if it is `None`: at most `limit`, and fewer where so many
    /// do not come whole.
    pub async fn page(
        &self,
        process: &str,
        from_ms: Option<u64>,
        limit: u32,
    ) -> Result<Page, SuError> {
        let from = from_ms.map(|ms| ms.to_string());
        loop {
            let most = self.limit.load(Ordering::Relaxed);
            let text = limit.min(most).to_string();
            let mut query = vec![("process-id", process)];
            query.extend(from.as_deref().map(|from| ("from", from)));
            query.push(("limit", &text));
            match self.read(self.url(&[process], &query), Page::parse).await {
                // It may be down, or the page too long for the time or the room there is.
                Err(SuError::Down { .. }) if most > 1 => {
                    self.limit.store((most / 8).max(1), Ordering::Relaxed);
                }
                answered => return answered,
            }
        }
    }

    /// The place with this nonce, if there is one.
    pub async fn at_nonce(&self, process: &str, nonce: u64) -> Result<Option<Pair>, SuError> {
        let (before, this) = (nonce.checked_sub(1).map(|n| n.to_string()), nonce.to_string());
        let mut query = vec![("process-id", process)];
        query.extend(before.as_deref().map(|before| ("from-nonce", before)));
        query.extend([("to-nonce", this.as_str()), ("limit", "1")]);
        let page = self.read(self.url(&[process], &query), Page::parse).await?;
        let mut pairs = page.edges.into_iter().map(|(pair, _)| pair);
        Ok(pairs.find(|pair| pair.assignment.nonce == nonce))
    }

    /// What its clock says.
    pub async fn time(&self, process: &str) -> Result<SuTime, SuError> {
        self.read(self.url(&["timestamp"], &[("process-id", process)]), parse_time).await
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }

    async fn read<T>(
        &self,
        url: String,
        parse: impl Fn(&str) -> Result<T, ShapeError>,
    ) -> Result<T, SuError> {
        let mut pause = self.pause;
        for _ in 1..TRIES {
            match answered(&url, self.transport.call(Request::get(url.as_str())).await) {
                Err(SuError::Down { .. }) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answered => return parsed(url, answered?, parse),
            }
        }
        let last = answered(&url, self.transport.call(Request::get(url.as_str())).await);
        parsed(url, last?, parse)
    }
}

fn answered(url: &str, response: Result<Response, TransportError>) -> Result<Response, SuError> {
    let url = url.to_owned();
    let response = match response {
        Ok(response) if response.is_success() => return Ok(response),
        Err(error) => return Err(SuError::Down { url, why: error.why }),
        Ok(response) => response,
    };
    match response.status {
        400..=499 if response.status != 429 && response.status != 408 => {
            Err(SuError::Refused { url, status: response.status, body: response.text() })
        }
        status => Err(SuError::Down { url, why: format!("{status} {}", response.text()) }),
    }
}

fn parsed<T>(
    url: String,
    response: Response,
    parse: impl Fn(&str) -> Result<T, ShapeError>,
) -> Result<T, SuError> {
    // A scheduler writes UTF-8; whatever else stands there is no JSON.
    let text = String::from_utf8_lossy(&response.body);
    parse(&text).map_err(|why| SuError::Shape { url, why })
}

fn parse_time(text: &str) -> Result<SuTime, ShapeError> {
    let value = Value::parse(text)?;
    let number = |key: &str| {
        let number = value
            .get(key)
            .and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        number.ok_or(ShapeError::Shape { at: key.to_owned(), expected: "a number" })
    };
    Ok(SuTime { timestamp_ms: number("timestamp")?, block_height: number("block_height")? })
}
