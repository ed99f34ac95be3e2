//! Environment strings and the time zone, as a loader in UTC has them.

use super::{Flavor, Posix};

/// The `NAME=value` strings, in order, without NULs. Formats 4 and wasm64 have none.
pub(crate) fn environment(flavor: Flavor, program: &str) -> Vec<Vec<u8>> {
    match flavor {
        Flavor::Fmt4 | Flavor::Wasm64 => Vec::new(),
        Flavor::Fmt1 | Flavor::Fmt2 | Flavor::Fmt3 => {
            let fixed = [
                "USER=web_user",
                "LOGNAME=web_user",
                "PATH=/",
                "PWD=/",
                "HOME=/home/web_user",
                "LANG=C.UTF-8",
            ];
            let program = format!("_={program}");
            fixed
                .into_iter()
                .chain([program.as_str()])
                .map(|text| text.as_bytes().to_vec())
                .collect()
        }
    }
}

/// How `_tzset_js` hands out the zone's names. Offset and daylight saving are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeZone {
    /// The caller takes two blocks of the name's length from the guest's `malloc`, winter's first,
    /// and stores the second's address as `tzname[0]` and the first's as `tzname[1]`.
    Allocated(&'static [u8]),
    /// Written into both buffers that the guest gives.
    Given(&'static [u8]),
}

/// The zone's name with its NUL, as a flavor has it.
pub(crate) fn time_zone(flavor: Flavor) -> TimeZone {
    match flavor {
        Flavor::Fmt1 | Flavor::Fmt2 => TimeZone::Allocated(b"Coordinated Universal Time\0"),
        Flavor::Fmt3 => TimeZone::Given(b"Coordi\0"),
        Flavor::Fmt4 | Flavor::Wasm64 => TimeZone::Given(b"UTC\0"),
    }
}

impl Posix {
    /// Whether `_tzset_js` does its work: formats 1 and 2 do it once for each instance.
    pub(crate) fn tzset(&mut self) -> bool {
        let once = matches!(self.flavor, Flavor::Fmt1 | Flavor::Fmt2);
        let done = std::mem::replace(&mut self.tz_done, once);
        !done
    }
}
