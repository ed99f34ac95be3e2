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

use drivebay_disk::{DirtySet, HostError, PAGE, Pages};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{Advice, MapFlags, ProtFlags, UserfaultfdFlags};
use std::ffi::c_void;
use std::ops::Range;
use std::sync::OnceLock;

/// Of more written pages than this part of a memory, a list is no better than looking at all.
const WORTH_A_LIST: usize = 4;
/// Regions that one scan can list before it goes on.
const REGIONS: usize = 256;

/// Times in a row that most pages were written, after which watching stops. More than a young process needs to
/// grow.
const USELESS: u32 = 16;
/// Times that all pages are compared before the kernel is asked again.
const REST: u32 = 64;

/// Watches one memory, which may grow, and may move when it does. Where most pages are written each time, each
/// costs a fault for nothing: then it stops for a while, and everything is compared.
pub(crate) struct Watch {
    kernel: Option<Kernel>,
    /// Times in a row that most pages were written.
    most: u32,
    /// Times left to compare without asking.
    rest: u32,
}

impl Watch {
    /// Watches by the kernel, if it lets us.
    pub(crate) fn new() -> Self {
        Self { kernel: supported().then(Kernel::open).flatten(), most: 0, rest: 0 }
    }

    /// Compares everything: what `new` falls back to, and the double that tests compare it with.
    #[cfg(test)]
    pub(crate) fn comparing() -> Self {
        Self { kernel: None, most: 0, rest: 0 }
    }

    /// From now on everything is compared: a list that was taken and not used is lost.
    pub(crate) fn distrust(&mut self) {
        (self.kernel, self.rest) = (None, 0);
    }

    /// Whether the next answer can be less than everything.
    pub(crate) fn knows(&self) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| !kernel.watched.is_empty())
    }

    /// A time without the kernel; asks it again when there were enough.
    fn without(&mut self) -> Option<&mut Kernel> {
        if self.rest > 0 {
            self.rest -= 1;
            if self.rest == 0 {
                self.kernel = Kernel::open();
            }
        }
        self.kernel.as_mut()
    }

    /// The pages of `memory` that may have been written since this was last called, or that are new; from
    /// now on they count as not written. The memory is the same one every time: it may only have grown, or
    /// have moved while growing.
    pub(crate) fn written(&mut self, memory: &mut [u8]) -> DirtySet {
        let Some(kernel) = self.without() else { return DirtySet::unknown() };
        match kernel.written(memory) {
            Some(Written::Pages(pages)) => {
                self.most = 0;
                return DirtySet::from_pages(pages);
            }
            Some(Written::Most) => {
                self.most += 1;
                if self.most > USELESS {
                    (self.kernel, self.most, self.rest) = (None, 0, REST);
                }
            }
            // The kernel had second thoughts: it is not asked again.
            None => self.kernel = None,
        }
        DirtySet::unknown()
    }
}

/// Whether written pages are listed by the kernel here; otherwise all are compared. For the operator.
pub fn tracks_pages() -> bool {
    supported()
}

/// A memory at rest, in a file of its own that nothing writes to any more.
pub(crate) struct Base {
    file: OwnedFd,
    pages: Pages,
}

impl Base {
    /// Writes a memory to a new base. `None` if this system cannot.
    pub(crate) fn write(pages: &Pages) -> Option<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("drivebay memory", flags).ok()?;
        rustix::fs::ftruncate(&file, pages.len_bytes()).ok()?;
        let put = |index: u64, page: &[u8; PAGE]| {
            let at = index.saturating_mul(PAGE as u64);
            match rustix::io::pwrite(&file, page, at) {
                Ok(PAGE) => Ok(()),
                _ => Err(HostError::Exhausted { what: "memory for a base" }),
            }
        };
        pages.for_each_page(put).ok()?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).ok()?;
        Some(Self { file, pages: pages.clone() })
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

/// Whether this kernel, for this user, can watch at all: tried once.
fn supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let mut memory = vec![0u8; 8 * PAGE];
        let skip = memory.as_ptr() as usize % PAGE;
        let Some(pages) = memory.get_mut((PAGE - skip) % PAGE..) else { return false };
        let (pages, _) = pages.split_at_mut(pages.len() / PAGE * PAGE);
        Kernel::open().is_some_and(|mut kernel| kernel.written(pages).is_some())
    })
}

enum Written {
    Pages(Vec<u64>),
    Most,
}

/// The two descriptors that the kernel is asked through.
struct Kernel {
    faults: OwnedFd,
    pages: OwnedFd,
    /// Addresses that are registered, and whose pages were protected once.
    watched: Range<usize>,
}

impl Kernel {
    fn open() -> Option<Self> {
        // Faults of user code only: that needs no privilege.
        let flags = UserfaultfdFlags::CLOEXEC
            | UserfaultfdFlags::NONBLOCK
            | UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
        // SAFETY: creating a userfaultfd has no effect on memory before something is registered with it.
        let faults = unsafe { rustix::mm::userfaultfd(flags) }.ok()?;
        let mut api = Api { api: UFFD_API, features: WP_ASYNC | WP_UNPOPULATED, ioctls: 0 };
        // SAFETY: `Api` is the structure that UFFDIO_API reads and writes.
        unsafe { ioctl::ioctl(&faults, ioctl::Updater::<UFFDIO_API, Api>::new(&mut api)) }.ok()?;
        if api.features & (WP_ASYNC | WP_UNPOPULATED) != WP_ASYNC | WP_UNPOPULATED {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let pages = rustix::fs::open("/proc/self/pagemap", flags, Mode::empty()).ok()?;
        Some(Self { faults, pages, watched: 0..0 })
    }

    /// `None` if the kernel refuses, for whatever reason.
    fn written(&mut self, memory: &mut [u8]) -> Option<Written> {
        let range = whole_pages(memory)?;
        let moved = range.start != self.watched.start || range.end < self.watched.end;
        if moved {
            // What was registered there went away with its mapping.
            self.watched = range.start..range.start;
        }
        let old = self.watched.clone();
        let mut pages = self.scan(old.clone(), range.start)?;
        if range.end > old.end {
            let new = old.end..range.end;
            self.register(new.clone())?;
            // The first scan only protects. All new pages count as written.
            self.scan(new.clone(), range.start)?;
            self.watched = range.clone();
            pages.extend(page_numbers(&new, range.start));
        }
        let all = range.len() / PAGE;
        let most = moved || pages.len() > all / WORTH_A_LIST;
        Some(if most { Written::Most } else { Written::Pages(pages) })
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

    /// Pages of `range` that lost their protection, by number from `origin`; protects them again.
    fn scan(&self, range: Range<usize>, origin: usize) -> Option<Vec<u64>> {
        let mut found = Vec::new();
        let mut regions = [Region::default(); REGIONS];
        let mut at = range.start;
        while at < range.end {
            let mut scan = Scan::new(at..range.end, &mut regions);
            let call = ScanCall { scan: &mut scan };
            // SAFETY: `Scan` is the structure that PAGEMAP_SCAN takes, and `regions` outlives the call.
            let listed = unsafe { ioctl::ioctl(self.pages.borrow(), call) }.ok()?;
            let reached = usize::try_from(scan.walk_end).ok()?;
            for region in regions.get(..listed)? {
                let region =
                    usize::try_from(region.start).ok()?..usize::try_from(region.end).ok()?;
                found.extend(page_numbers(&region, origin));
            }
            if reached <= at {
                return None;
            }
            at = reached;
        }
        Some(found)
    }
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
const WP_UNPOPULATED: u64 = 1 << 13;
const WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 2;
const UFFDIO_API: Opcode = opcode::read_write::<Api>(0xAA, 0x3F);
const UFFDIO_REGISTER: Opcode = opcode::read_write::<Register>(0xAA, 0x00);
const PAGEMAP_SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);
const SCAN_WP_MATCHING: u64 = 1;
const SCAN_CHECK_WPASYNC: u64 = 2;
const PAGE_IS_WRITTEN: u64 = 2;

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

impl Scan {
    fn new(range: Range<usize>, regions: &mut [Region]) -> Self {
        Self {
            size: size_of::<Self>() as u64,
            flags: SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
            start: range.start as u64,
            end: range.end as u64,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_len: regions.len() as u64,
            max_pages: 0,
            inverted: 0,
            all_of: PAGE_IS_WRITTEN,
            any_of: 0,
            report: PAGE_IS_WRITTEN,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use drivebay_disk::{Pages, SliceSource};

    /// Page-aligned memory of our own that can grow in place.
    struct Arena(Vec<u8>, usize, usize);

    impl Arena {
        fn new(pages: usize, reserve: usize) -> Self {
            let bytes = vec![0u8; (reserve + 1) * PAGE];
            let from = (bytes.as_ptr() as usize).next_multiple_of(PAGE) - bytes.as_ptr() as usize;
            Self(bytes, from, pages)
        }

        fn live(&mut self) -> &mut [u8] {
            let (from, len) = (self.1, self.2 * PAGE);
            &mut self.0[from..from + len]
        }
    }

    fn next(seed: &mut u64) -> usize {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize
    }

    /// Random writes, reads and growth: the tree that follows the kernel's list and the one that compares
    /// everything have the same root after each round, and both equal the bytes.
    #[test]
    fn the_kernels_list_misses_nothing() {
        for case in 0..20u64 {
            let mut seed = case;
            let mut arena = Arena::new(64, 600);
            let mut watches = [Watch::new(), Watch::comparing()];
            let mut trees = [Pages::new(64 * PAGE as u64), Pages::new(64 * PAGE as u64)];
            for _ in 0..40 {
                for _ in 0..next(&mut seed) % 30 {
                    let live = arena.live();
                    let at = next(&mut seed) % live.len();
                    match next(&mut seed) % 3 {
                        0 => live[at] = live[at].wrapping_add(1),
                        1 => live[at / PAGE * PAGE] = 0,
                        _ => assert!(std::hint::black_box(live[at]) < 255),
                    }
                }
                if next(&mut seed).is_multiple_of(5) {
                    arena.2 = (arena.2 + next(&mut seed) % 40).min(600);
                }
                for (watch, tree) in watches.iter_mut().zip(&mut trees) {
                    let dirty = watch.written(arena.live());
                    *tree = tree.rebase(&SliceSource::new(arena.live()), &dirty).unwrap();
                }
                assert_eq!(trees[0].root(), trees[1].root());
                assert_eq!(trees[0].root(), Pages::from_bytes(arena.live()).root());
            }
        }
    }

    /// On a kernel that can, a write to one page of many is listed as that one.
    #[test]
    fn only_what_was_written_is_listed() {
        let mut watch = Watch::new();
        if watch.kernel.is_none() {
            // A kernel that does not list written pages: the other test holds the fallback.
            return;
        }
        let mut arena = Arena::new(512, 512);
        arena.live().fill(1);
        let kernel = watch.kernel.as_mut().unwrap();
        assert!(matches!(kernel.written(arena.live()), Some(Written::Most)));
        arena.live()[7 * PAGE + 5] = 9;
        arena.live()[300 * PAGE] = 9;
        let Some(Written::Pages(pages)) = kernel.written(arena.live()) else { panic!("no list") };
        assert_eq!(pages, [7, 300]);
        let Some(Written::Pages(pages)) = kernel.written(arena.live()) else { panic!("no list") };
        assert!(pages.is_empty(), "{pages:?}");
    }
}
