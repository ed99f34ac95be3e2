//! What a virtual machine is, to an ao host. Read top to bottom.
//!
//! A module is *read* once into a [`Disk`]. A disk is *mounted* with an [`Image`] to make a [`Drive`]. A
//! drive *runs* [`Call`]s. At rest it can be *frozen*, and a frozen state gives more drives, or the image.
//!
//! The one idea: **the image is the state; a live drive is only a cache of an image.** Four rules keep
//! it true:
//!
//! 1. Guest code runs only inside [`Drive::run`]. Not in `read`, not in `mount`.
//! 2. A drive has no effect but its own state. What it sends leaves as values in a [`Reply`].
//! 3. What may change a result is a rule, and a [`Format`] names one rule set for ever. The rest is config,
//!    and nothing here can see it.
//! 4. Unavailability is not a value: it is a [`HostError`], and the guest never learns of it.
//!
//! `testing::Tape` is a complete virtual machine in this crate's terms, and the tutorial.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod call;
mod digest;
mod disk;
mod fault;
mod image;
pub mod json;
mod keccak;
mod limits;
mod module;
mod reply;
pub mod testing;

pub use call::{Call, Message, Mode, Process, Slot, Tag, WireJson};
pub use digest::Digest;
pub use disk::{
    ArtifactStore, Data, Disk, DiskReader, Drive, Frozen, Host, HostFailure, Meter, NoArtifacts,
    Ran, Resource,
};
pub use fault::{
    Fault, FaultCode, HostError, MountError, NOTE_MAX, Note, ReadError, Refusal, RefusalCode,
};
pub use image::{
    Census, Change, DirtySet, Header, Image, ImageError, ImageLimits, Lent, NotAName, PAGE, Page,
    PageError, PageMap, PageSource, PageStore, Pages, Root, Row, RowChange, STATE_MAX, Section,
    SectionName, SliceSource, Table, bring_up, page_hash,
};
pub use keccak::keccak_all;
pub use limits::{Fuel, Limits, leading_number, memory_limit};
pub use module::{DiskId, Format, FormatName, Module, ReaderId};
pub use reply::{Assign, Outgoing, Output, Patch, Reply};
