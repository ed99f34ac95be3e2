//! A process's whole state, and how it stands in an image.

use crate::{
    account::{AFTER, Account, read_number},
    formats::HASHES,
    log::Log,
    recent::Recent,
    version::Version,
    world::World,
};
use drivebay_disk::{
    Digest, Header, HostError, Image, MountError, PageError, Pages, Refusal, RefusalCode,
    SectionName, Table,
};
use revm::primitives::{B256, KECCAK_EMPTY, keccak256};
use std::sync::{Arc, LazyLock, OnceLock};

pub(crate) const ACCOUNTS: SectionName = SectionName::new("accounts");
pub(crate) const CODES: SectionName = SectionName::new("codes");
const CHAIN: SectionName = SectionName::new("chain");
/// Seeds, then which of them are there, then the number of the newest block plus one, then whether the
/// module's contract stands.
const MARKS_AT: u64 = HASHES * 32;
const NEXT_AT: u64 = MARKS_AT + HASHES / 8;
const CHAIN_BYTES: u64 = NEXT_AT + 9;
/// Seeds that are copied together when a state shares them.
const CHUNK: usize = 16;
const CHUNKS: usize = HASHES as usize / CHUNK;

/// Everything that one call can leave to the next.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) chain: Chain,
    /// What is not in `world` yet, where changes are gathered: in a drive.
    pub(crate) recent: Option<Box<Recent>>,
}

/// Its clone has all in its tables.
impl Clone for State {
    fn clone(&self) -> Self {
        let recent = self.recent.as_ref();
        Self {
            world: recent.map_or_else(|| self.world.clone(), |recent| recent.over(&self.world)),
            chain: self.chain.clone(),
            recent: recent.map(|_| Box::default()),
        }
    }
}

/// A state at rest. It costs a few reference counts.
pub(crate) struct Kept {
    tables: Arc<Version>,
    chain: Chain,
    /// What is not in the tables: so many rows of a log.
    log: Option<(Arc<Log>, usize)>,
    /// The tables with these, once somebody asked for them.
    settled: OnceLock<World>,
}

impl Kept {
    /// The state, all of it in its tables.
    pub(crate) fn state(&self) -> Result<State, HostError> {
        let world = match (&self.log, self.settled.get()) {
            (None, _) => self.tables.world()?,
            (_, Some(world)) => world.clone(),
            (Some((log, len)), None) => {
                let world = log.over(*len, &self.tables)?;
                self.settled.get_or_init(|| world).clone()
            }
        };
        Ok(State { world, chain: self.chain.clone(), recent: None })
    }
}

/// The last blocks, and whether the first of them was there. Of a block its seed is kept: few ask for its
/// hash, which follows from it.
#[derive(Clone)]
pub(crate) struct Chain {
    /// The seed of block n at n modulo [`HASHES`]; `None` where a slot left no mark.
    seeds: Arc<[Arc<Chunk>; CHUNKS]>,
    /// Seeds of the newest blocks, without gaps, that are not among `seeds` yet: fewer than a chunk has, so that a
    /// chunk is written once, and not copied for every state that is kept.
    recent: Vec<[u8; 32]>,
    /// Number of the newest block plus one; 0 before the first.
    next: u64,
    /// Whether the module's contract was made.
    pub(crate) is_born: bool,
}

type Seed = Option<[u8; 32]>;
type Chunk = [Seed; CHUNK];

static NO_SEEDS: LazyLock<Arc<[Arc<Chunk>; CHUNKS]>> = LazyLock::new(|| {
    let none: Arc<Chunk> = Arc::new([None; CHUNK]);
    Arc::new(std::array::from_fn(|_| none.clone()))
});

impl Default for Chain {
    fn default() -> Self {
        Self { seeds: NO_SEEDS.clone(), recent: Vec::new(), next: 0, is_born: false }
    }
}

fn place(number: u64) -> (usize, usize) {
    let place = (number % HASHES) as usize;
    (place / CHUNK, place % CHUNK)
}

impl Chain {
    /// The hash of a block; zero if it is none of the last, or its slot left no mark.
    pub(crate) fn hash(&self, number: u64) -> B256 {
        let is_kept = number < self.next && self.next - number <= HASHES;
        let (chunk, at) = place(number);
        let settled = || self.seeds.get(chunk).and_then(|chunk| *chunk.get(at)?);
        let at = number.checked_sub(self.first_recent()).map(|at| at as usize);
        let recent = at.and_then(|at| self.recent.get(at).copied());
        let seed = recent.or_else(settled).filter(|_| is_kept);
        seed.map(|seed| block_hash(number, &seed)).unwrap_or_default()
    }

    /// Adds a block, or says again what the newest one is.
    pub(crate) fn push(&mut self, number: u64, seed: [u8; 32]) {
        if number < self.next {
            return;
        }
        if number > self.next {
            self.settle();
            for skipped in self.next.max(number.saturating_sub(HASHES - 1))..number {
                self.put(skipped, None);
            }
        }
        let Some(next) = number.checked_add(1) else {
            // There is none after it: it stays the newest.
            self.settle();
            self.next = number;
            return self.put(number, Some(seed));
        };
        self.recent.push(seed);
        self.next = next;
        if place(next).1 == 0 {
            self.settle();
        }
    }

    /// Number of the first of the recent blocks, or of the one that comes next.
    fn first_recent(&self) -> u64 {
        self.next - self.recent.len() as u64
    }

    /// Puts the recent blocks among the others.
    fn settle(&mut self) {
        let first = self.first_recent();
        let mut recent = std::mem::take(&mut self.recent);
        for (number, seed) in (first..).zip(recent.drain(..)) {
            self.put(number, Some(seed));
        }
        self.recent = recent;
    }

    fn put(&mut self, number: u64, seed: Seed) {
        let (chunk, at) = place(number);
        let chunks = Arc::make_mut(&mut self.seeds);
        if let Some(kept) = chunks.get_mut(chunk).and_then(|chunk| Arc::make_mut(chunk).get_mut(at))
        {
            *kept = seed;
        }
    }

    fn pages(&self) -> Result<Pages, PageError> {
        if !self.recent.is_empty() {
            let mut settled = self.clone();
            settled.settle();
            return settled.pages();
        }
        let mut pages = Pages::new(CHAIN_BYTES);
        if self.next > 0 {
            let (mut seeds, mut marks) = (Vec::new(), [0u8; HASHES as usize / 8]);
            let all = self.seeds.iter().flat_map(|chunk| chunk.iter());
            for (at, seed) in all.enumerate() {
                seeds.extend(seed.unwrap_or_default());
                if let Some(marks) = marks.get_mut(at / 8) {
                    *marks |= u8::from(seed.is_some()) << (at % 8);
                }
            }
            pages.write(0, &seeds)?;
            pages.write(MARKS_AT, &marks)?;
        }
        pages.write(NEXT_AT, &self.next.to_le_bytes())?;
        pages.write(CHAIN_BYTES - 1, &[self.is_born.into()])?;
        Ok(pages)
    }

    fn from_pages(pages: &Pages) -> Result<Self, MountError> {
        let (mut seeds, mut marks) = ([[0; 32]; HASHES as usize], [0; HASHES as usize / 8]);
        pages.read(0, seeds.as_flattened_mut())?;
        pages.read(MARKS_AT, &mut marks)?;
        let (mut next, mut born) = ([0; 8], [0]);
        pages.read(NEXT_AT, &mut next)?;
        pages.read(CHAIN_BYTES - 1, &mut born)?;
        let mut chain = Self { next: u64::from_le_bytes(next), ..Self::default() };
        chain.is_born = born[0] == 1;
        let mut is_bent = born[0] > 1;
        for (at, seed) in seeds.into_iter().enumerate() {
            let is_there = marks.get(at / 8).is_some_and(|marks| marks >> (at % 8) & 1 == 1);
            match is_there {
                true => chain.put(at as u64, Some(seed)),
                false => is_bent |= seed != [0; 32],
            }
            is_bent |= is_there && at as u64 >= chain.next;
        }
        if is_bent {
            return Err(bent("its chain is not as this reader writes it").into());
        }
        Ok(chain)
    }
}

/// The hash of a block: of its number, and of the seed that the schedule's hash chain gave its slot.
pub fn block_hash(number: u64, seed: &[u8; 32]) -> B256 {
    let parts: [&[u8]; 3] = [b"drivebay evm block", &number.to_be_bytes(), seed];
    keccak256(parts.concat())
}

fn bent(what: &str) -> Refusal {
    Refusal::new(RefusalCode::Malformed, format!("bad image: {what}"))
}

fn wrong(what: &str) -> Refusal {
    Refusal::new(RefusalCode::WrongImage, what.to_owned())
}

impl State {
    pub(crate) fn image(&self, header: &Header) -> Result<Image, PageError> {
        Ok(Image::new(header.clone())
            .with(ACCOUNTS, self.world.accounts.clone())
            .with(CODES, self.world.codes.clone())
            .with(CHAIN, self.chain.pages()?))
    }

    /// From now on, changes are gathered.
    pub(crate) fn gathering(self) -> Self {
        Self { recent: Some(Box::default()), ..self }
    }

    /// Keeps it as it is.
    pub(crate) fn keep(&mut self) -> Kept {
        let (tables, log) = match &mut self.recent {
            Some(recent) => recent.keep(&self.world),
            None => (Arc::new(Version::new(self.world.clone())), None),
        };
        Kept { tables, chain: self.chain.clone(), log, settled: OnceLock::new() }
    }

    /// The state of an image that this unit made itself: it is not looked at again.
    pub(crate) fn of_ours(image: &Image) -> Option<Self> {
        let world = crate::view::world(image)?;
        let chain = image.pages(&CHAIN).filter(|chain| chain.len_bytes() == CHAIN_BYTES)?;
        Some(Self { world, chain: Chain::from_pages(chain).ok()?, recent: None })
    }

    /// The state that an image is of: nothing but what [`State::image`] makes is taken.
    pub(crate) fn from_image(image: &Image, header: &Header) -> Result<Self, MountError> {
        if image.header() != header {
            return Err(wrong("the image is of another module or format").into());
        }
        let table = |name| image.table(name).cloned();
        let (Some(accounts), Some(codes), Some(chain), 3) =
            (table(&ACCOUNTS), table(&CODES), image.pages(&CHAIN), image.sections().len())
        else {
            return Err(wrong("an EVM image has sections accounts, chain and codes").into());
        };
        if accounts.nests() != Some(AFTER) || codes.nests().is_some() {
            return Err(bent("its tables are not nested as accounts are").into());
        }
        if chain.len_bytes() != CHAIN_BYTES {
            return Err(bent("its chain has another length").into());
        }
        check_codes(&codes)?;
        check_accounts(&accounts, &codes)?;
        let chain = Chain::from_pages(chain)?;
        Ok(Self { world: World { accounts, codes }, chain, recent: None })
    }
}

/// Code is known by its hash, and prepared code is shared by hash: so it is held to it.
fn check_codes(codes: &Table) -> Result<(), Refusal> {
    for row in codes.iter() {
        if row.bytes.is_empty() || keccak256(row.bytes).0 != row.key.0 {
            return Err(bent(&format!("code {} is not of that hash", row.key)));
        }
    }
    Ok(())
}

fn check_accounts(accounts: &Table, codes: &Table) -> Result<(), Refusal> {
    for row in accounts.iter() {
        let account = Account::from_row(row.bytes)
            .ok_or_else(|| bent(&format!("account {} is not in its one form", row.key)))?;
        let storage = row.table.filter(|table| table.nests().is_none());
        let storage = storage.ok_or_else(|| bent("an account's storage nests"))?;
        if account.is_empty() && storage.is_empty() {
            return Err(bent(&format!("account {} is empty", row.key)));
        }
        let hash = account.code_hash;
        if hash != KECCAK_EMPTY && codes.get(&Digest(hash.0)).is_none() {
            return Err(bent(&format!("the code of account {} is not there", row.key)));
        }
        for slot in storage.iter() {
            let value =
                read_number(slot.bytes).filter(|(value, rest)| !value.is_zero() && rest.is_empty());
            if value.is_none() {
                return Err(bent(&format!("slot {} is not in its one form", slot.key)));
            }
        }
    }
    Ok(())
}
