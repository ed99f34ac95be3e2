//! What an operator sees of running units: the log, on stderr. Figures are at `/metrics` of each unit.

use crate::config::LogKind;
use std::io;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// `units.log_filter` is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "units.log_filter is {filter:?}, which is no filter ({why}); write a level, or a target and a level, such as info,drivebay::mu=debug"
)]
pub struct FilterError {
    filter: String,
    why: String,
}

/// Begins the log. A program has one; a second start changes nothing.
pub fn start(log: LogKind, filter: &str) -> Result<(), FilterError> {
    let filtered = EnvFilter::try_new(filter)
        .map_err(|why| FilterError { filter: filter.to_owned(), why: why.to_string() })?;
    let registry = tracing_subscriber::registry().with(filtered);
    let _ = match log {
        LogKind::Text => registry.with(fmt::layer().with_writer(io::stderr)).try_init(),
        LogKind::Json => registry.with(fmt::layer().json().with_writer(io::stderr)).try_init(),
    };
    Ok(())
}
