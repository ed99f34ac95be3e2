//! A process's whole state, and how it stands in an image.

use crate::{
    account::{AFTER, Account, read_number},
    formats::HASHES,
    world::World,
};
use drivebay_disk::{
    Digest, Header, Image, MountError, PageError, Pages, Refusal, RefusalCode, SectionName, Table,
};
use revm::primitives::{B256, KECCAK_EMPTY, keccak256};
use std::sync::Arc;

pub(crate) const ACCOUNTS: SectionName = SectionName::new("accounts");
pub(crate) const CODES: SectionName = SectionName::new("codes");
const CHAIN: SectionName = SectionName::new("chain");
/// Hashes, then the number of the newest block plus one, then whether the module's contract stands.
const CHAIN_BYTES: u64 = HASHES * 32 + 9;

/// Everything that one call can leave to the next. A clone costs a few reference counts.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) chain: Chain,
}

/// The last blocks, and whether the first of them was there.
#[derive(Clone)]
pub(crate) struct Chain {
    /// The hash of block n at n modulo [`HASHES`]; zero where a slot left no mark.
    hashes: Arc<[B256; HASHES as usize]>,
    /// Number of the newest block plus one; 0 before the first.
    next: u64,
    /// Whether the module's contract was made.
    pub(crate) is_born: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self { hashes: Arc::new([B256::ZERO; HASHES as usize]), next: 0, is_born: false }
    }
}

fn place(number: u64) -> usize {
    (number % HASHES) as usize
}

impl Chain {
    /// The hash of a block; zero if it is none of the last, or its slot left no mark.
    pub(crate) fn hash(&self, number: u64) -> B256 {
        let is_kept = number < self.next && self.next - number <= HASHES;
        self.hashes.get(place(number)).copied().filter(|_| is_kept).unwrap_or_default()
    }

    /// Adds a block, or says again what the newest one is.
    pub(crate) fn push(&mut self, number: u64, hash: B256) {
        if number < self.next {
            return;
        }
        let hashes = Arc::make_mut(&mut self.hashes);
        let skipped = self.next.max(number.saturating_sub(HASHES - 1))..number;
        for at in skipped.map(place).chain([place(number)]) {
            hashes.iter_mut().skip(at).take(1).for_each(|kept| *kept = B256::ZERO);
        }
        hashes.iter_mut().skip(place(number)).take(1).for_each(|kept| *kept = hash);
        self.next = number.saturating_add(1);
    }

    fn pages(&self) -> Result<Pages, PageError> {
        let mut pages = Pages::new(CHAIN_BYTES);
        if self.next > 0 {
            let hashes = self.hashes.map(|hash| hash.0);
            pages.write(0, hashes.as_flattened())?;
        }
        pages.write(HASHES * 32, &self.next.to_le_bytes())?;
        pages.write(CHAIN_BYTES - 1, &[self.is_born.into()])?;
        Ok(pages)
    }

    fn from_pages(pages: &Pages) -> Result<Self, MountError> {
        let mut hashes = [[0; 32]; HASHES as usize];
        pages.read(0, hashes.as_flattened_mut())?;
        let (mut next, mut born) = ([0; 8], [0]);
        pages.read(HASHES * 32, &mut next)?;
        pages.read(CHAIN_BYTES - 1, &mut born)?;
        let next = u64::from_le_bytes(next);
        if born[0] > 1 || (next == 0 && hashes.as_flattened().iter().any(|byte| *byte != 0)) {
            return Err(bent("its chain is not as this reader writes it").into());
        }
        Ok(Self { hashes: Arc::new(hashes.map(B256::from)), next, is_born: born[0] == 1 })
    }
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
        Ok(Self { world: World { accounts, codes }, chain })
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
