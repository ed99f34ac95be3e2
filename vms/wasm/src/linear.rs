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

use crate::uapi::{
    Api, Kinds, OWN, PROTECT, Protect, REGISTER_MODE_WP, Region, Register, SCAN_CHECK_WPASYNC,
    Scan, UFFD_API, USER_MODE_ONLY, WP_ASYNC, WRITTEN,
};
use drivebay_disk::{HostError, PAGE, PageMap, Pages};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, UserfaultfdFlags};
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use wasmtime::unix::StoreExt;
use wasmtime::{AsContextMut, Memory, Store, StoreContextMut};

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
        let mut out = Out { file: &file, at: 0, bytes: Vec::with_capacity(Out::BYTES), kept: 0 };
        pages.for_each_page(|index, page| out.put(index, page)).ok()?;
        out.flush().ok()?;
        let kept = out.kept;
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

/// Pages on their way to a file, in runs: a call for each costs half as much again.
struct Out<'a> {
    file: &'a OwnedFd,
    /// Where the run begins.
    at: u64,
    bytes: Vec<u8>,
    /// Pages so far.
    kept: u64,
}

impl Out<'_> {
    /// Bytes of a run: as many as stay in a cache between being gathered and written.
    const BYTES: usize = 256 << 10;

    fn put(&mut self, index: u64, page: &[u8; PAGE]) -> Result<(), HostError> {
        let at = index.saturating_mul(PAGE as u64);
        if self.bytes.len() >= Self::BYTES || at != self.at.saturating_add(self.bytes.len() as u64)
        {
            self.flush()?;
            self.at = at;
        }
        self.bytes.extend_from_slice(page);
        self.kept += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HostError> {
        let written = rustix::io::pwrite(self.file, &self.bytes, self.at);
        if written != Ok(self.bytes.len()) {
            return Err(HostError::Exhausted { what: "memory for a base" });
        }
        self.bytes.clear();
        Ok(())
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
    faults: Arc<OwnedFd>,
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
        Some(Self { faults: Arc::new(faults), pages: pagemap()?, watched: 0..0 })
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
        let range = self.addresses(&pages)?;
        let flags = SCAN_CHECK_WPASYNC | if protect { PROTECT } else { 0 };
        scan(&self.pages, (range, self.watched.start), WRITTEN, flags)
    }

    /// Wires in these pages of the memory. Once a part of them was written, the protection of `parts` is lifted.
    pub(crate) fn wires(&self, pages: &[u64], parts: &[Range<u64>]) -> Option<Wires> {
        let page = |page: &u64| self.addresses(&(*page..page.checked_add(1)?));
        Some(Wires {
            memory: self.watched.clone(),
            wires: pages.iter().take(WIRES_MAX).map(page).collect::<Option<_>>()?,
            parts: parts.iter().map(|part| self.addresses(part)).collect::<Option<_>>()?,
            faults: Arc::clone(&self.faults),
            strung: AtomicBool::new(false),
            hit: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
        })
    }

    /// Where these pages lie, if they are watched.
    fn addresses(&self, pages: &Range<u64>) -> Option<Range<usize>> {
        let address = |page: u64| {
            let offset = usize::try_from(page).ok()?.checked_mul(PAGE)?;
            self.watched.start.checked_add(offset).filter(|at| *at <= self.watched.end)
        };
        Some(address(pages.start)?..address(pages.end)?)
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

/// As many wires as there are bits in [`Wires::hit`].
const WIRES_MAX: usize = 64;

/// Pages of a guest's memory that stop whoever writes to them, for a moment: so a call that writes much is known for it
/// while it runs, by nothing but what it does.
pub(crate) struct Wires {
    /// The memory.
    memory: Range<usize>,
    /// Single pages of it, in order.
    wires: Vec<Range<usize>>,
    /// What is no longer protected when enough of them were hit.
    parts: Vec<Range<usize>>,
    faults: Arc<OwnedFd>,
    /// The pages cannot be written, but for those that were hit.
    strung: AtomicBool,
    /// Which were hit, a bit for each.
    hit: AtomicU64,
    /// The system did not take a wire away.
    stuck: AtomicBool,
}

/// What became of wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wired {
    /// Too few of them were hit, or there were none.
    Quiet,
    /// Enough were, and the protection was lifted.
    Lifted,
    /// Pages of the memory cannot be written any more: the guest is of no use.
    Stuck,
}

impl Wires {
    /// So many hit, and the call is known for one that writes much. One alone may be chance.
    const ENOUGH: u32 = 2;

    /// Has `call` run over the wires, and takes them away. Whatever writes to the memory meanwhile must do so within a
    /// call of the guest, else the program ends.
    pub(crate) fn around<T: 'static, R>(
        self,
        store: &mut Store<T>,
        memory: Memory,
        call: impl FnOnce(StoreContextMut<'_, T>) -> R,
    ) -> (R, Wired) {
        let now = whole_pages(memory.data_mut(&mut *store));
        let lies =
            now.is_some_and(|now| now.start == self.memory.start && self.memory.end <= now.end);
        // A memory that may move is not stopped at; nor are an interpreter's accesses the engine's to catch.
        if !lies || memory.ty(&*store).is_64() || store.engine().is_pulley() {
            return (call(store.as_context_mut()), Wired::Quiet);
        }
        let strung = Strung(Arc::new(self));
        let seen = Arc::clone(&strung.0);
        // SAFETY: the handler is safe within a signal: it allocates nothing, locks nothing and does not panic, but reads
        // atomics and lists that nobody changes, and makes system calls. The engine hands it what the system told of a
        // fault of this thread, which has an address.
        unsafe {
            store.set_signal_handler(move |_, signal, _| seen.is_hit((*signal).si_addr() as usize));
        }
        strung.0.string();
        let result = call(store.as_context_mut());
        let wired = strung.0.take_down();
        (result, wired)
    }

    fn string(&self) {
        self.strung.store(true, Ordering::SeqCst);
        for wire in &self.wires {
            // Where the system refuses, that page is no wire.
            let _ = allow(wire, MprotectFlags::READ);
        }
    }

    fn take_down(&self) -> Wired {
        if self.strung.swap(false, Ordering::SeqCst) && self.open_all().is_err() {
            self.stuck.store(true, Ordering::SeqCst);
        }
        match self.hit.load(Ordering::SeqCst).count_ones() >= Self::ENOUGH {
            _ if self.stuck.load(Ordering::SeqCst) => Wired::Stuck,
            true => Wired::Lifted,
            false => Wired::Quiet,
        }
    }

    /// All pages from the first wire to the last can be written.
    fn open_all(&self) -> rustix::io::Result<()> {
        let Some((first, last)) = self.wires.first().zip(self.wires.last()) else { return Ok(()) };
        allow(&(first.start..last.end), MprotectFlags::READ | MprotectFlags::WRITE)
    }

    /// Whether there was a wire, which is out of the way now.
    fn is_hit(&self, address: usize) -> bool {
        let found = self.wires.binary_search_by_key(&(address / PAGE * PAGE), |wire| wire.start);
        let wire = found.ok().and_then(|at| Some((self.wires.get(at)?, 1u64 << at)));
        let Some((wire, bit)) = wire.filter(|_| self.strung.load(Ordering::SeqCst)) else {
            return false;
        };
        let hit = self.hit.fetch_or(bit, Ordering::SeqCst);
        // What was hit before is out of the way: this is something else.
        if hit & bit != 0 {
            return false;
        }
        let enough = (hit | bit).count_ones() >= Self::ENOUGH;
        let opened = match enough {
            true => self.open_all(),
            false => allow(wire, MprotectFlags::READ | MprotectFlags::WRITE),
        };
        self.stuck.fetch_or(opened.is_err(), Ordering::SeqCst);
        if enough && opened.is_ok() {
            self.strung.store(false, Ordering::SeqCst);
            self.lift();
        }
        opened.is_ok()
    }

    /// Lifts the protection: from now on the parts count as written.
    pub(crate) fn lift(&self) {
        for part in &self.parts {
            let mut protect = Protect { start: part.start as u64, len: part.len() as u64, mode: 0 };
            // SAFETY: `Protect` is the structure that UFFDIO_WRITEPROTECT takes. No byte of any memory changes by
            // it, nor what may be done with it: a page that is not protected is listed, written or not.
            let lifted = unsafe {
                let call = ioctl::Updater::<UFFDIO_WRITEPROTECT, Protect>::new(&mut protect);
                ioctl::ioctl(&*self.faults, call)
            };
            // If it is refused, each page has its fault.
            if lifted.is_err() {
                return;
            }
        }
    }
}

/// Wires that are taken away however the call ends.
struct Strung(Arc<Wires>);

impl Drop for Strung {
    fn drop(&mut self) {
        self.0.take_down();
    }
}

/// Sets what may be done with pages of a guest's memory.
fn allow(pages: &Range<usize>, what: MprotectFlags) -> rustix::io::Result<()> {
    // SAFETY: the pages are of a memory that its guest may read and write, which lies still and lives as long as the
    // call that has them set: `Wires::around` holds its store. No byte of it changes. Who writes where that is not
    // allowed is stopped by the system, and goes on or ends.
    unsafe { rustix::mm::mprotect(pages.start as *mut c_void, pages.len(), what) }
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
        let listed = unsafe { ioctl::ioctl(pagemap, call) }.ok()?;
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

const UFFDIO_API: Opcode = opcode::read_write::<Api>(0xAA, 0x3F);
const UFFDIO_REGISTER: Opcode = opcode::read_write::<Register>(0xAA, 0x00);
const UFFDIO_WRITEPROTECT: Opcode = opcode::read_write::<Protect>(0xAA, 0x06);
const PAGEMAP_SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);

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
