//! How a run can stop short, and what that means: the guest's fault, or ours.
//!
//! Every trap of the engine is named, and one that is not is a bug, never a fault: an upgrade of the
//! engine cannot add a verdict unnoticed.

use drivebay_disk::json::Json;
use drivebay_disk::{Fault, FaultCode, HostError, bug};
use std::fmt;
use wasmtime::{ThrownException, Trap};

/// What the host throws through guest code.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// `longjmp`: the only one that a guest can catch, by `invoke_*`.
    LongJump,
    /// The fault of the guest.
    Fault(FaultCode, String),
    /// The guest ended itself with this status.
    Exit(i32),
    /// A host error: nothing is recorded.
    Host(HostError),
}

impl Stop {
    /// A guest's own doing, told in the reference's words where it has some.
    pub(crate) fn trapped(note: impl Into<String>) -> Self {
        Self::Fault(FaultCode::Trapped, note.into())
    }

    /// What the reference's answer has as its `Error`, where that is more than an empty object.
    pub(crate) fn as_json(&self) -> Option<Json> {
        let Self::Exit(status) = self else { return None };
        let text = format!(
            r#"{{"name":"ExitStatus","message":"Program terminated with exit({status})","status":{status}}}"#
        );
        Json::parse(&text).ok()
    }

    /// The fuel is used up.
    pub(crate) fn out_of_fuel() -> Self {
        Self::Fault(FaultCode::OutOfFuel, "out of fuel".into())
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongJump => f.write_str("longjmp without a target"),
            Self::Fault(code, note) => write!(f, "{}: {note}", code.text()),
            Self::Exit(status) => write!(f, "Program terminated with exit({status})"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Stop {}

/// The verdict on an error that came out of guest code.
pub(crate) fn classify(error: &wasmtime::Error) -> Result<Fault, HostError> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::LongJump | Stop::Exit(_) => Ok(Fault::new(FaultCode::Trapped, stop.to_string())),
            Stop::Fault(code, note) => Ok(Fault::new(*code, note.clone())),
            Stop::Host(error) => Err(error.clone()),
        };
    }
    if let Some(error) = error.downcast_ref::<HostError>() {
        return Err(error.clone());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return classify_trap(*trap);
    }
    if error.is::<ThrownException>() {
        return Ok(Fault::new(FaultCode::Trapped, "uncaught exception"));
    }
    Err(bug!("unknown error from the engine: {error:?}"))
}

/// An error of a nested call, as one that can be thrown on.
pub(crate) fn stopped<T>(result: wasmtime::Result<T>) -> Result<T, Stop> {
    result.map_err(|error| match error.downcast_ref::<Stop>() {
        Some(stop) => stop.clone(),
        None => match classify(&error) {
            Ok(fault) => Stop::Fault(fault.code, fault.note.to_string()),
            Err(error) => Stop::Host(error),
        },
    })
}

fn classify_trap(trap: Trap) -> Result<Fault, HostError> {
    // The words are the reference engine's, for people who know them.
    let words = match trap {
        Trap::OutOfFuel => return Ok(Fault::new(FaultCode::OutOfFuel, "out of fuel")),
        Trap::MemoryOutOfBounds => "memory access out of bounds",
        Trap::TableOutOfBounds => "table index is out of bounds",
        Trap::IndirectCallToNull | Trap::BadSignature => {
            "null function or function signature mismatch"
        }
        Trap::IntegerOverflow => "divide result unrepresentable",
        Trap::IntegerDivisionByZero => "divide by zero",
        Trap::BadConversionToInteger => "float unrepresentable in integer range",
        Trap::UnreachableCodeReached => "unreachable",
        // Its height depends on the compiler, so it must never become a verdict; the counted depth
        // trips long before.
        Trap::StackOverflow => return Err(bug!("guest overran the native stack")),
        other => return Err(bug!("trap that no allowed module can make: {other}")),
    };
    Ok(Fault::new(FaultCode::Trapped, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of the pinned engine that are verdicts. All others are bugs.
    const VERDICTS: &[Trap] = &[
        Trap::OutOfFuel,
        Trap::MemoryOutOfBounds,
        Trap::TableOutOfBounds,
        Trap::IndirectCallToNull,
        Trap::BadSignature,
        Trap::IntegerOverflow,
        Trap::IntegerDivisionByZero,
        Trap::BadConversionToInteger,
        Trap::UnreachableCodeReached,
    ];

    #[test]
    fn every_code_of_the_engine_is_either_named_or_a_bug() {
        for trap in (0..=u8::MAX).filter_map(Trap::from_u8) {
            let verdict = classify_trap(trap);
            assert_eq!(verdict.is_ok(), VERDICTS.contains(&trap), "{trap:?}");
        }
    }

    #[test]
    fn host_errors_never_become_faults() {
        let error = wasmtime::Error::new(Stop::Host(HostError::Exhausted { what: "memory" }));
        assert!(classify(&error).is_err());
        assert!(classify(&wasmtime::Error::msg("anything else")).is_err());
        // Whoever wraps it: it stays what it is.
        let wrapped = [
            wasmtime::Error::new(Stop::Host(HostError::Exhausted { what: "memory" }))
                .context(wasmtime::Error::msg("growth failed")),
            wasmtime::Error::new(HostError::Exhausted { what: "memory" }),
        ];
        for error in wrapped {
            assert!(matches!(classify(&error), Err(HostError::Exhausted { .. })), "{error:?}");
        }
    }
}
