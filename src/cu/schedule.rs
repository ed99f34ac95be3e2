//! Whether a schedule may be believed: every place follows the one before it, by number, by time and by the
//! scheduler's hash chain.

use crate::{
    item::{Id, first_link, next_link},
    wire::schedule::Assignment,
};

/// Processes made below this height come from a time when schedulers made no chains.
pub const CHAIN_FROM_HEIGHT: u64 = 1_440_000;

/// Where the schedule of a process stands, and whether it must be a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    checked: bool,
    last: Option<Link>,
}

/// What the next place must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place.
    pub nonce: u64,
    /// Its time, in milliseconds.
    pub timestamp_ms: u64,
    /// Height of the newest block then.
    pub block_height: u64,
    /// Its assignment's id.
    pub assignment: String,
    /// Its link.
    pub hash_chain: Option<String>,
}

/// Why a schedule is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A link does not follow from the one before. The text is the reference's.
    #[error("HashChain invalid on message {message}")]
    Link {
        /// Whose link.
        message: String,
    },
    /// A place is missing, or is there twice.
    #[error(
        "the scheduler gave message {message} the place {found}, but the next one is {expected}"
    )]
    Nonce {
        /// Whose place.
        message: String,
        /// What it says.
        found: u64,
        /// What it should say.
        expected: u64,
    },
    /// Time runs backwards.
    #[error("message {message} stands at {found} ms, before the one in front of it, at {last} ms")]
    Time {
        /// Whose time.
        message: String,
        /// What it says.
        found: u64,
        /// What the one before says.
        last: u64,
    },
}

impl Chain {
    /// Before the first place of a process that was made at `height`.
    pub fn start(height: u64) -> Self {
        Self { checked: height >= CHAIN_FROM_HEIGHT, last: None }
    }

    /// Behind `last`, in a process that was made at `height`.
    pub fn after(height: u64, last: Link) -> Self {
        Self { last: Some(last), ..Self::start(height) }
    }

    /// Checks the next place and stands behind it. After an error it stands where it stood.
    pub fn advance(&mut self, next: &Assignment) -> Result<(), ChainError> {
        let message = || next.message.clone();
        if let Some(last) = &self.last {
            let expected = last.nonce.saturating_add(1);
            if next.nonce != expected {
                return Err(ChainError::Nonce { message: message(), found: next.nonce, expected });
            }
            if next.timestamp_ms < last.timestamp_ms {
                let (found, last) = (next.timestamp_ms, last.timestamp_ms);
                return Err(ChainError::Time { message: message(), found, last });
            }
        }
        if self.checked && !self.follows(next) {
            return Err(ChainError::Link { message: message() });
        }
        self.last = Some(Link {
            nonce: next.nonce,
            timestamp_ms: next.timestamp_ms,
            block_height: next.block_height,
            assignment: next.id.clone(),
            hash_chain: next.hash_chain.clone(),
        });
        Ok(())
    }

    fn follows(&self, next: &Assignment) -> bool {
        let expected = match &self.last {
            None => next.process.parse().map(|process| first_link(&process)),
            Some(last) => {
                let chain = last.hash_chain.as_deref().unwrap_or_default();
                last.assignment.parse().and_then(|id| Ok(next_link(&id, &chain.parse()?)))
            }
        };
        let found = next.hash_chain.as_deref().map(str::parse::<Id>);
        matches!((expected, found), (Ok(expected), Some(Ok(found))) if expected == found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const PID: &str = "FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY";

    fn chain(length: u64) -> Vec<Assignment> {
        let mut chain: Vec<Assignment> = Vec::new();
        for nonce in 0..length {
            let link = match chain.last() {
                None => first_link(&PID.parse().unwrap()),
                Some(last) => {
                    let chain = last.hash_chain.as_deref().unwrap();
                    next_link(&last.id.parse().unwrap(), &chain.parse().unwrap())
                }
            };
            chain.push(Assignment {
                id: Id::of(&nonce.to_le_bytes()).to_string(),
                process: PID.into(),
                message: format!("m{nonce}"),
                nonce,
                timestamp_ms: 1000 + nonce,
                hash_chain: Some(link.to_string()),
                ..Assignment::default()
            });
        }
        chain
    }

    fn read(height: u64, chain: &[Assignment]) -> Result<(), ChainError> {
        let mut state = Chain::start(height);
        chain.iter().try_for_each(|next| state.advance(next))
    }

    /// Recorded from a chain that the reference accepted.
    #[test]
    fn the_first_link_is_the_recorded_one() {
        assert_eq!(
            chain(1)[0].hash_chain.as_deref(),
            Some("7G7SWISgqBuA4Ge94jFbw9cJk0cyIXt_yG0SaIsFtec")
        );
    }

    #[test]
    fn any_bent_link_is_refused_by_name_and_nothing_before_it() {
        let whole = chain(6);
        assert_eq!(read(CHAIN_FROM_HEIGHT, &whole), Ok(()));
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at].hash_chain = Some(Id::of(b"another").to_string());
            let error = read(CHAIN_FROM_HEIGHT, &bent).unwrap_err();
            assert_eq!(error.to_string(), format!("HashChain invalid on message m{at}"));
            assert_eq!(read(CHAIN_FROM_HEIGHT, &bent[..at]), Ok(()));
            assert_eq!(read(CHAIN_FROM_HEIGHT - 1, &bent), Ok(()));
            bent[at].hash_chain = None;
            assert!(read(CHAIN_FROM_HEIGHT, &bent).is_err());
        }
    }

    #[test]
    fn an_exchanged_assignment_breaks_the_link_behind_it() {
        let mut chain = chain(4);
        chain[1].id = PID.into();
        let error = read(CHAIN_FROM_HEIGHT, &chain).unwrap_err().to_string();
        assert_eq!(error, "HashChain invalid on message m2");
    }

    #[test]
    fn a_hole_and_time_that_runs_back_are_refused_on_any_height() {
        let mut holed = chain(4);
        holed.remove(2);
        assert!(matches!(read(0, &holed), Err(ChainError::Nonce { found: 3, expected: 2, .. })));
        let mut late = chain(4);
        late[2].timestamp_ms = 3;
        assert!(matches!(read(0, &late), Err(ChainError::Time { found: 3, last: 1001, .. })));
    }
}
