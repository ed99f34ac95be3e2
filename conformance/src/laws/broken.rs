//! Why a law does not hold.

use drivebay_disk::{HostError, HostFailure, ImageError, MountError, PageError, ReadError};
use std::fmt;

/// A law that does not hold, and what was seen.
#[derive(Clone, Debug)]
pub struct Broken(String);

/// That a law holds, or why not.
pub type Held = Result<(), Broken>;

impl Broken {
    /// With what was seen.
    pub fn new(seen: impl Into<String>) -> Self {
        Self(seen.into())
    }

    /// The same, and where it was seen.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where something was seen, added to what was.
pub(super) trait At<T> {
    fn at(self, place: impl fmt::Display) -> Result<T, Broken>;
}

impl<T> At<T> for Result<T, Broken> {
    fn at(self, place: impl fmt::Display) -> Self {
        self.map_err(|broken| broken.at(place))
    }
}

macro_rules! from_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for Broken {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )*};
}

from_errors!(HostError, ImageError, MountError, PageError, ReadError);

impl From<HostFailure> for Broken {
    fn from(failure: HostFailure) -> Self {
        Self(format!("host error instead of a verdict: {}", failure.error))
    }
}

/// Returns from a law that does not hold.
macro_rules! must {
    ($holds:expr, $($seen:tt)*) => {
        if !$holds {
            return Err($crate::laws::Broken::new(format!($($seen)*)));
        }
    };
}
pub(super) use must;
