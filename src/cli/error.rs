//! From errors to exit codes, and to text that says what to do.

use super::tame::tame;
use crate::{
    config::ConfigError,
    cu::{CuError, ReadersError, VaultError},
    disk::{HostError, Refusal},
    item::{ItemError, WalletError},
    net::GatewayClientError,
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// How the program ends. Documented in `--help` and README.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All was done.
    Done = 0,
    /// A guest faulted or answered an error; a recorded case differs.
    Guest = 1,
    /// Wrong usage, or input refused.
    Refused = 2,
    /// This machine failed.
    Host = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A mistake of whoever typed the command: what was wrong, what was expected, what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A [`Usage`] error.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// A refusal as an error.
pub(crate) fn refused(refusal: Refusal) -> anyhow::Error {
    CuError::Refused(refusal).into()
}

/// Says an error on stderr, and how to end. A reader of our output who went away is no failure.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        return Exit::Done;
    }
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors already quote their cause.
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
    }
    for hint in error.chain().filter_map(hint) {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    let _ = writeln!(io::stderr(), "{}", tame(&text, false));
    exit_of(error)
}

fn exit_of(error: &anyhow::Error) -> Exit {
    let is_refused = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<ConfigError>()
            || matches!(cause.downcast_ref(), Some(CuError::Refused(_) | CuError::Unknown(_)))
            || matches!(cause.downcast_ref(), Some(VaultError::BadName(_)))
            || matches!(cause.downcast_ref(), Some(ReadersError::Unknown { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(WalletError::Malformed(_) | WalletError::InFile { .. })
            )
            || cause.is::<ItemError>()
            || matches!(cause.downcast_ref(), Some(GatewayClientError::Refused { .. }))
    });
    if is_refused { Exit::Refused } else { Exit::Host }
}

fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let host = match cause.downcast_ref() {
        Some(CuError::Host(host)) => Some(host),
        _ => cause.downcast_ref::<HostError>(),
    };
    match host? {
        HostError::Unavailable { .. } => Some(
            "the message was not evaluated and its slot is still free: this command has no network to read from",
        ),
        HostError::Bug { .. } => {
            Some("this is a mistake in Drivebay; the state is as it was before")
        }
        _ => None,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io_error: Option<&io::Error> = cause.downcast_ref();
        io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
