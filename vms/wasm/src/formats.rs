//! The formats, each one rule set for ever.

use crate::limits::LimitRow;
use crate::posix::Flavor;
use crate::rewrite::{Nan, REWRITE_VERSION};
use drivebay_disk::{Digest, Format};

/// How a module is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// As the reference's loader does: C strings in, C string out, emscripten's imports.
    Loader(Flavor),
    /// HyperBEAM's calling convention: `malloc`ed strings, WASI imports that mostly answer 0.
    HyperBeam,
    /// Our own: `alloc`, `handle`, a WASI preview 1 subset.
    Clean,
}

/// The rules of one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The `Module-Format` tag.
    pub(crate) name: &'static str,
    /// How modules of it are driven.
    pub(crate) abi: Abi,
    /// Pointers are 64 bits.
    pub(crate) wide: bool,
    /// The reference's gas meter is added when the module is read.
    pub(crate) metering: bool,
    /// Modules may use the legacy exception instructions.
    pub(crate) exceptions: bool,
}

/// How far modules are rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rewriting {
    /// As the formats say.
    #[default]
    Full,
    /// Without what only makes it faster: an oracle. Replies and gas are the same; fuel is not, and memory may
    /// differ where Asyncify wrote and freed.
    Least,
}

/// Bumped with any change that may change a result under unchanged names; before a release only.
const RULES_VERSION: &[u8] = b"1";

const fn loader(name: &'static str, flavor: Flavor, wide: bool, metering: bool) -> Rules {
    Rules { name, abi: Abi::Loader(flavor), wide, metering, exceptions: false }
}

/// Every format that this reader knows.
pub(crate) const FORMATS: &[Rules] = &[
    loader("wasm32-unknown-emscripten", Flavor::Fmt1, false, false),
    loader("wasm32-unknown-emscripten2", Flavor::Fmt2, false, false),
    loader("wasm32-unknown-emscripten3", Flavor::Fmt3, false, false),
    loader("wasm32-unknown-emscripten4", Flavor::Fmt4, false, false),
    loader("wasm32-unknown-emscripten-metering", Flavor::Fmt4, false, true),
    loader("wasm64-unknown-emscripten-draft_2024_02_15", Flavor::Wasm64, true, false),
    loader("wasm64-unknown-emscripten-draft_2024_10_16-metering", Flavor::Wasm64, true, true),
    Rules {
        name: "wasm64-hyperbeam-1",
        abi: Abi::HyperBeam,
        wide: true,
        metering: false,
        exceptions: true,
    },
    Rules {
        name: "wasm32-drivebay-1",
        abi: Abi::Clean,
        wide: false,
        metering: false,
        exceptions: false,
    },
];

impl Rules {
    /// The rules of a format, by the exact text of its tag.
    pub(crate) fn of(name: &str) -> Option<&'static Rules> {
        FORMATS.iter().find(|rules| rules.name == name)
    }

    /// The row of the table of limits.
    pub(crate) fn limit_row(&self) -> LimitRow {
        match self.abi {
            Abi::Clean => LimitRow::Clean,
            Abi::Loader(_) | Abi::HyperBeam => LimitRow::Legacy { metering: self.metering },
        }
    }

    /// What a NaN made by arithmetic looks like.
    pub(crate) fn nan(&self) -> Nan {
        match self.abi {
            Abi::Clean => Nan::Canonical,
            Abi::Loader(_) | Abi::HyperBeam => Nan::X86Legacy,
        }
    }

    /// Name and digest, as the seam has them. What is left out of rewriting changes fuel, and so the digest.
    pub(crate) fn format(&self, rewriting: Rewriting) -> Format {
        let switches = [u8::from(self.wide), u8::from(self.metering), u8::from(self.exceptions)];
        let rewrite = REWRITE_VERSION.to_le_bytes();
        let how: &[u8] = match rewriting {
            Rewriting::Full => b"",
            Rewriting::Least => b"least rewriting",
        };
        let parts: [&[u8]; 5] = [self.name.as_bytes(), RULES_VERSION, &rewrite, &switches, how];
        Format { name: self.name.into(), rules: Digest::of_parts("drivebay-wasm rules", &parts) }
    }
}
