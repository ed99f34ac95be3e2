//! What Linux takes and gives where a memory is watched, as its headers have it (`linux/userfaultfd.h`, `linux/fs.h`).

use std::ops::Range;

pub(crate) const UFFD_API: u64 = 0xAA;
pub(crate) const USER_MODE_ONLY: u32 = 1;
pub(crate) const WP_ASYNC: u64 = 1 << 15;
pub(crate) const REGISTER_MODE_WP: u64 = 2;
const SCAN_WP_MATCHING: u64 = 1;
pub(crate) const SCAN_CHECK_WPASYNC: u64 = 2;
/// `PAGE_IS_PRESENT` or `PAGE_IS_SWAPPED`.
const THERE: Kinds = Kinds { all: 0, none: 0, any: 8 | 16 };
/// The same, but not `PAGE_IS_FILE`.
pub(crate) const OWN: Kinds = Kinds { none: 4, ..THERE };
/// `PAGE_IS_WRITTEN`, of what is there: a page that is not there yet needs no protection to be seen when it comes.
pub(crate) const WRITTEN: Kinds = Kinds { all: 2, ..THERE };
pub(crate) const PROTECT: u64 = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC;

/// `struct uffdio_api`.
#[repr(C)]
pub(crate) struct Api {
    pub(crate) api: u64,
    pub(crate) features: u64,
    pub(crate) ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
pub(crate) struct Register {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) mode: u64,
    pub(crate) ioctls: u64,
}

/// `struct uffdio_writeprotect`.
#[repr(C)]
pub(crate) struct Protect {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) mode: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
pub(crate) struct Scan {
    pub(crate) size: u64,
    pub(crate) flags: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) walk_end: u64,
    pub(crate) regions: u64,
    pub(crate) regions_len: u64,
    pub(crate) max_pages: u64,
    pub(crate) inverted: u64,
    pub(crate) all_of: u64,
    pub(crate) any_of: u64,
    pub(crate) report: u64,
}

/// Kinds of pages.
#[derive(Clone, Copy)]
pub(crate) struct Kinds {
    /// A page is all of these,
    pub(crate) all: u64,
    /// none of these,
    pub(crate) none: u64,
    /// and one of these, if there are any.
    pub(crate) any: u64,
}

impl Scan {
    pub(crate) fn new(
        range: Range<usize>,
        (kinds, flags): (Kinds, u64),
        regions: &mut [Region],
    ) -> Self {
        let Kinds { all, none, any } = kinds;
        Self {
            size: size_of::<Self>() as u64,
            flags,
            start: range.start as u64,
            end: range.end as u64,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_len: regions.len() as u64,
            max_pages: 0,
            inverted: none,
            all_of: all | none,
            any_of: any,
            report: all | any,
        }
    }
}
