//! Which pages of a live memory were written since somebody last asked.
//!
//! Linux can say so (6.7 and later): a `userfaultfd` in asynchronous write-protect mode lets the kernel lift
//! the protection of a page at its first write without asking anybody, and `PAGEMAP_SCAN` lists the pages
//! that lost it and protects them again, in one call. A message then costs the pages it touched, not the
//! memory. Where this is denied (containers often do) every page is compared instead: the answer may name
//! too many pages, never too few, so results cannot differ.
//!
//! Sources: Linux `Documentation/admin-guide/mm/{userfaultfd,pagemap}.rst`.
#![allow(
    unsafe_code,
    reason = "watching memory by address is unsafe; the owner lends it for each call"
)]

use drivebay_disk::{HostError, PAGE, PageMap, Pages};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{Advice, MapFlags, ProtFlags, UserfaultfdFlags};
use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Regions that one scan can list before it goes on.
const REGIONS: usize = 256;

/// Whether written pages are listed by the kernel here; otherwise all are compared. For the operator.
pub fn tracks_pages() -> bool {
    supported()
}

/// A memory at rest, in a file of its own that nothing writes to any more.
pub(crate) struct Base {
    file: OwnedFd,
    /// Its pages lie in the file, mapped.
    pages: Pages,
    /// How many of them are not all zero.
    kept: u64,
}

impl Base {
    /// Writes a memory to a new base. `None` if this system cannot.
    pub(crate) fn write(pages: &Pages) -> Option<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("drivebay memory", flags).ok()?;
        rustix::fs::ftruncate(&file, pages.len_bytes()).ok()?;
        let mut kept = 0;
        let put = |index: u64, page: &[u8; PAGE]| {
            kept += 1;
            let at = index.saturating_mul(PAGE as u64);
            match rustix::io::pwrite(&file, page, at) {
                Ok(PAGE) => Ok(()),
                _ => Err(HostError::Exhausted { what: "memory for a base" }),
            }
        };
        pages.for_each_page(put).ok()?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).ok()?;
        let view: Arc<dyn PageMap> = Arc::new(View::of(&file, pages.page_count())?);
        Some(Self { pages: pages.mapped(&view), file, kept })
    }

    /// The memory, kept here.
    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// How many pages it keeps: those that are all zero cost nothing.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// The pages in which another memory differs.
    pub(crate) fn differs(&self, other: &Pages) -> Vec<u64> {
        self.pages.diff(other)
    }

    /// Makes `memory` a private copy of it, as far as both reach; each page is copied when it is first written.
    /// `memory` must lie in anonymous memory of its own, as a guest's does.
    pub(crate) fn map(&self, memory: &mut [u8]) -> Result<(), HostError> {
        let failed = || HostError::Exhausted { what: "address space for a guest" };
        let range = whole_pages(memory).ok_or_else(failed)?;
        let len = usize::try_from(self.pages.len_bytes()).unwrap_or(usize::MAX).min(range.len());
        if len == 0 {
            return Ok(());
        }
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the pages replaced are those of `memory`, which is borrowed mutably, so nobody else looks at
        // them; they stay readable and writable, only their content changes. The file is sealed: it cannot
        // shrink under the mapping, nor change. The owner of the region unmaps it whole.
        unsafe { rustix::mm::mmap(range.start as *mut c_void, len, access, flags, &self.file, 0) }
            .map(drop)
            .map_err(|_| failed())
    }
}

/// Gives `memory` pages of its own at once where they will be written soon: each costs less than by a fault.
pub(crate) fn warm(memory: &mut [u8], pages: &[u64]) {
    let Some(range) = whole_pages(memory) else { return };
    let mut pages = pages.iter().filter_map(|page| usize::try_from(*page).ok()).peekable();
    while let Some(first) = pages.next() {
        let mut end = first + 1;
        while pages.next_if_eq(&end).is_some() {
            end += 1;
        }
        if end > range.len() / PAGE {
            return;
        }
        let at = (range.start + first * PAGE) as *mut c_void;
        let len = (end - first) * PAGE;
        // SAFETY: the range lies within memory that is lent to us to be written; no byte of it changes.
        let warmed = unsafe { rustix::mm::madvise(at, len, Advice::LinuxPopulateWrite) };
        // Where the system cannot, or has no memory left, faults do it one by one, or not at all.
        if warmed.is_err() {
            return;
        }
    }
}

/// The pages of a memory that was mapped from a base which lie there no longer: those that were written, and maybe
/// others, in order. `None` where the kernel does not say.
pub(crate) fn own(memory: &mut [u8]) -> Option<Vec<u64>> {
    let range = whole_pages(memory).filter(|_| supported())?;
    scan(&pagemap()?, (range.clone(), range.start), OWN, 0)
}

/// Gives memory that was freed back to the system: an allocator keeps it, in case that as much is wanted again.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: so the C library declares it.
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it takes any number, and touches what is free alone.
        let _ = unsafe { malloc_trim(0) };
    }
}

/// A sealed file, mapped to be read.
struct View {
    at: *const c_void,
    bytes: usize,
}

// SAFETY: a mapping of bytes that nobody can write, which lives as long as the view.
unsafe impl Send for View {}
// SAFETY: the same.
unsafe impl Sync for View {}

impl View {
    /// Maps so many pages of a file that is sealed against writing and shrinking, and has them.
    fn of(file: &OwnedFd, pages: u64) -> Option<Self> {
        let bytes = usize::try_from(pages).ok()?.checked_mul(PAGE).filter(|bytes| *bytes > 0)?;
        // Kernels before 6.7 take a shared mapping of a sealed file for one that could be written.
        let (access, flags) = (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping, at an address that the system chooses.
        let at = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, flags, file, 0) };
        Some(Self { at: at.ok()?, bytes })
    }
}

impl PageMap for View {
    fn page(&self, index: u64) -> &[u8; PAGE] {
        let at = usize::try_from(index).ok().and_then(|index| index.checked_mul(PAGE));
        let Some(at) = at.filter(|at| *at < self.bytes) else { return &[0; PAGE] };
        // SAFETY: `at` is the start of a page within the mapping, which lives as long as `self`; the seals keep the
        // file's bytes and length as they are, and any byte is a valid one.
        unsafe { &*self.at.byte_add(at).cast() }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever borrowed from it has borrowed us. If it fails, it stays.
        let _ = unsafe { rustix::mm::munmap(self.at.cast_mut(), self.bytes) };
    }
}

/// Whether this kernel, for this user, can watch at all: tried once.
fn supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let mut memory = vec![0u8; 8 * PAGE];
        let skip = memory.as_ptr() as usize % PAGE;
        let Some(pages) = memory.get_mut((PAGE - skip) % PAGE..) else { return false };
        let (pages, _) = pages.split_at_mut(pages.len() / PAGE * PAGE);
        Kernel::open().is_some_and(|mut kernel| kernel.reach(pages).is_some())
    })
}

/// How far a memory reaches, by pages.
pub(crate) struct Reach {
    /// It was seen elsewhere before, or not at all: any page may have been written.
    pub(crate) moved: bool,
    /// The pages that were watched.
    pub(crate) old: Range<u64>,
    /// Of those that are from now on, the ones that are not as they were mapped.
    pub(crate) new: Vec<u64>,
}

/// The two descriptors that the kernel is asked through.
pub(crate) struct Kernel {
    faults: OwnedFd,
    pages: OwnedFd,
    /// Addresses that are registered, and whose pages were protected once.
    watched: Range<usize>,
}

impl Kernel {
    /// `None` where this kernel, for this user, cannot watch.
    pub(crate) fn open_if_supported() -> Option<Self> {
        supported().then(Self::open).flatten()
    }

    fn open() -> Option<Self> {
        // Faults of user code only: that needs no privilege.
        let flags = UserfaultfdFlags::CLOEXEC
            | UserfaultfdFlags::NONBLOCK
            | UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
        // SAFETY: creating a userfaultfd has no effect on memory before something is registered with it.
        let faults = unsafe { rustix::mm::userfaultfd(flags) }.ok()?;
        let mut api = Api { api: UFFD_API, features: WP_ASYNC, ioctls: 0 };
        // SAFETY: `Api` is the structure that UFFDIO_API reads and writes.
        unsafe { ioctl::ioctl(&faults, ioctl::Updater::<UFFDIO_API, Api>::new(&mut api)) }.ok()?;
        if api.features & WP_ASYNC == 0 {
            return None;
        }
        Some(Self { faults, pages: pagemap()?, watched: 0..0 })
    }

    /// Watches all of `memory` from now on. `None` if the kernel refuses, for whatever reason.
    pub(crate) fn reach(&mut self, memory: &mut [u8]) -> Option<Reach> {
        let range = whole_pages(memory)?;
        let moved = range.start != self.watched.start || range.end < self.watched.end;
        if moved {
            // What was registered there went away with its mapping.
            self.watched = range.start..range.start;
        }
        let (old, new) = (self.watched.clone(), self.watched.end..range.end);
        let mut touched = Vec::new();
        if !new.is_empty() {
            self.register(new.clone())?;
            // A page that was never touched has no memory yet, and to look at it would give it some.
            // Nor is it protected: it would fault twice.
            touched = scan(&self.pages, (new, range.start), WRITTEN, PROTECT)?;
            self.watched = range.clone();
        }
        let number = |at: usize| ((at - range.start) / PAGE) as u64;
        Some(Reach { moved, old: number(old.start)..number(old.end), new: touched })
    }

    /// Another memory lies there now.
    pub(crate) fn forget(&mut self) {
        self.watched = 0..0;
    }

    /// Whether it has seen the memory.
    pub(crate) fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Those of `pages` that were written since they were last protected, in order; protects them again, if so
    /// asked. `None` if the kernel refuses, or if this is not the memory that is watched.
    pub(crate) fn list(
        &self,
        memory: &mut [u8],
        pages: Range<u64>,
        protect: bool,
    ) -> Option<Vec<u64>> {
        if whole_pages(memory)? != self.watched {
            return None;
        }
        let address = |page: u64| {
            let offset = usize::try_from(page).ok()?.checked_mul(PAGE)?;
            self.watched.start.checked_add(offset).filter(|at| *at <= self.watched.end)
        };
        let range = address(pages.start)?..address(pages.end)?;
        let flags = SCAN_CHECK_WPASYNC | if protect { PROTECT } else { 0 };
        scan(&self.pages, (range, self.watched.start), WRITTEN, flags)
    }

    fn register(&self, range: Range<usize>) -> Option<()> {
        if range.is_empty() {
            return Some(());
        }
        // SAFETY: advice about a range of a live mapping that the caller has lent us whole; huge pages
        // would be written as a whole.
        let advised = unsafe {
            rustix::mm::madvise(range.start as *mut c_void, range.len(), Advice::LinuxNoHugepage)
        };
        // A kernel without huge pages has nothing to be advised about.
        let _ = advised;
        let mut register = Register {
            start: range.start as u64,
            len: range.len() as u64,
            mode: REGISTER_MODE_WP,
            ioctls: 0,
        };
        // SAFETY: the range is part of a live mapping lent to us; write-protect faults on it are resolved
        // by the kernel itself (WP_ASYNC), so no thread can ever wait for us.
        unsafe {
            let call = ioctl::Updater::<UFFDIO_REGISTER, Register>::new(&mut register);
            ioctl::ioctl(&self.faults, call)
        }
        .ok()
    }
}

/// Pages of `range` that are of `kinds`, by number from `origin`.
fn scan(
    pagemap: &OwnedFd,
    (range, origin): (Range<usize>, usize),
    kinds: Kinds,
    flags: u64,
) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let mut regions = [Region::default(); REGIONS];
    let mut at = range.start;
    while at < range.end {
        let mut scan = Scan::new(at..range.end, (kinds, flags), &mut regions);
        let call = ScanCall { scan: &mut scan };
        // SAFETY: `Scan` is the structure that PAGEMAP_SCAN takes, and `regions` outlives the call.
        let listed = unsafe { ioctl::ioctl(pagemap.borrow(), call) }.ok()?;
        let reached = usize::try_from(scan.walk_end).ok()?;
        for region in regions.get(..listed)? {
            let region = usize::try_from(region.start).ok()?..usize::try_from(region.end).ok()?;
            found.extend(page_numbers(&region, origin));
        }
        if reached <= at {
            return None;
        }
        at = reached;
    }
    Some(found)
}

/// What this process's pages are, to be asked.
fn pagemap() -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self/pagemap", flags, Mode::empty()).ok()
}

trait Borrow {
    fn borrow(&self) -> BorrowedFd<'_>;
}

impl Borrow for OwnedFd {
    fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// The addresses of a memory, which must begin and end with a page.
fn whole_pages(memory: &mut [u8]) -> Option<Range<usize>> {
    let from = memory.as_mut_ptr() as usize;
    let whole = from.is_multiple_of(PAGE) && memory.len().is_multiple_of(PAGE);
    whole.then(|| from..from + memory.len())
}

fn page_numbers(range: &Range<usize>, origin: usize) -> impl Iterator<Item = u64> + use<> {
    let first = (range.start - origin) / PAGE;
    let last = (range.end - origin).div_ceil(PAGE);
    first as u64..last as u64
}

const UFFD_API: u64 = 0xAA;
const USER_MODE_ONLY: u32 = 1;
const WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 2;
const UFFDIO_API: Opcode = opcode::read_write::<Api>(0xAA, 0x3F);
const UFFDIO_REGISTER: Opcode = opcode::read_write::<Register>(0xAA, 0x00);
const PAGEMAP_SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);
const SCAN_WP_MATCHING: u64 = 1;
const SCAN_CHECK_WPASYNC: u64 = 2;
/// `PAGE_IS_PRESENT` or `PAGE_IS_SWAPPED`.
const THERE: Kinds = Kinds { all: 0, none: 0, any: 8 | 16 };
/// The same, but not `PAGE_IS_FILE`.
const OWN: Kinds = Kinds { none: 4, ..THERE };
/// `PAGE_IS_WRITTEN`, of what is there: a page that is not there yet needs no protection to be seen when it comes.
const WRITTEN: Kinds = Kinds { all: 2, ..THERE };
const PROTECT: u64 = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC;

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    report: u64,
}

/// Kinds of pages.
#[derive(Clone, Copy)]
struct Kinds {
    /// A page is all of these,
    all: u64,
    /// none of these,
    none: u64,
    /// and one of these, if there are any.
    any: u64,
}

impl Scan {
    fn new(range: Range<usize>, (kinds, flags): (Kinds, u64), regions: &mut [Region]) -> Self {
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

/// PAGEMAP_SCAN, whose result is the number of regions listed.
struct ScanCall<'a> {
    scan: &'a mut Scan,
}

// SAFETY: the opcode names `Scan`, the pointer is to one, and the kernel writes no more than it and the
// regions that it points to, whose number it has.
unsafe impl Ioctl for ScanCall<'_> {
    type Output = usize;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        PAGEMAP_SCAN
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.scan).cast()
    }

    // SAFETY: the trait's caller gives what the system call returned; the pointer is not looked at.
    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<usize> {
        usize::try_from(out).map_err(|_| rustix::io::Errno::INVAL)
    }
}
