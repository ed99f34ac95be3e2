//! Bundles: items one after another, behind a table of their sizes and ids. A bundle travels as the data of
//! an item, so bundles nest.

use super::{DataItem, Id, ItemError};
use bytes::Bytes;

/// Items that a bundle may have.
const ITEMS_MAX: u64 = 65_536;
/// Bundles within bundles that are read.
pub const NESTING_MAX: usize = 8;
/// Bytes of a number in the header, and of an entry of its table.
const NUMBER_LEN: usize = 32;
const ENTRY_LEN: usize = 2 * NUMBER_LEN;

/// A bundle that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    items: Vec<DataItem>,
}

impl Bundle {
    /// Reads a bundle; all items share its bytes. Signatures are not verified, ids are.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ItemError> {
        let bytes = bytes.into();
        let count = header_count(&bytes)?;
        let table_end = NUMBER_LEN + count * ENTRY_LEN;
        let table = bytes.get(NUMBER_LEN..table_end).unwrap_or_default();
        let mut at = table_end;
        let mut items = Vec::with_capacity(count);
        for entry in table.chunks_exact(ENTRY_LEN) {
            let (size, id) = entry.split_at(NUMBER_LEN);
            let end = number(size).and_then(|size| at.checked_add(usize::try_from(size).ok()?));
            let Some(end) = end.filter(|end| *end <= bytes.len()) else {
                return Err(bad(format!("item {} is longer than what is left", items.len())));
            };
            let item = DataItem::parse(bytes.slice(at..end))?;
            if Id::from_slice(id) != Some(item.id()) {
                return Err(bad(format!(
                    "item {} is {}, and the table has another id for it",
                    items.len(),
                    item.id()
                )));
            }
            items.push(item);
            at = end;
        }
        if at == bytes.len() {
            return Ok(Self { items });
        }
        Err(bad(format!("{} bytes follow the last item", bytes.len() - at)))
    }

    /// Its items, in order.
    pub fn items(&self) -> &[DataItem] {
        &self.items
    }
}

/// `items` as a bundle.
pub fn write_bundle(items: &[DataItem]) -> Bytes {
    let size: usize = items.iter().map(|item| item.bytes().len()).sum();
    let mut out = Vec::with_capacity(NUMBER_LEN + items.len() * ENTRY_LEN + size);
    put_number(&mut out, items.len());
    for item in items {
        put_number(&mut out, item.bytes().len());
        out.extend_from_slice(item.id().as_bytes());
    }
    items.iter().for_each(|item| out.extend_from_slice(item.bytes()));
    out.into()
}

/// Whether an item says that its data is a bundle.
pub fn is_bundle(item: &DataItem) -> bool {
    item.tag("Bundle-Format") == Some("binary") && item.tag("Bundle-Version") == Some("2.0.0")
}

/// All items within `item`, through bundles in bundles, each with the id of the bundle that holds it. Outer
/// ones come before inner ones.
pub fn read_nested(item: &DataItem) -> Result<Vec<(Id, DataItem)>, ItemError> {
    let mut found = Vec::new();
    let mut level = vec![item.clone()];
    for _ in 0..NESTING_MAX {
        let mut next = Vec::new();
        for holder in level.iter().filter(|item| is_bundle(item)) {
            for inner in Bundle::parse(holder.data_bytes())?.items {
                if found.len() as u64 >= ITEMS_MAX {
                    return Err(bad(format!("it holds more than {ITEMS_MAX} items")));
                }
                found.push((holder.id(), inner.clone()));
                next.push(inner);
            }
        }
        if next.is_empty() {
            return Ok(found);
        }
        level = next;
    }
    if level.iter().any(is_bundle) {
        return Err(bad(format!("it has more than {NESTING_MAX} bundles in one another")));
    }
    Ok(found)
}

/// Items that the header promises, of which the table is there.
fn header_count(bytes: &[u8]) -> Result<usize, ItemError> {
    let count = bytes.get(..NUMBER_LEN).and_then(number);
    let Some(count) = count.filter(|count| *count <= ITEMS_MAX) else {
        return Err(bad(format!("it does not begin with a count of at most {ITEMS_MAX} items")));
    };
    let room = bytes.len().saturating_sub(NUMBER_LEN) / ENTRY_LEN;
    if count > room as u64 {
        return Err(bad(format!("it promises {count} items, and its table has room for {room}")));
    }
    Ok(count as usize)
}

/// A number of 32 little-endian bytes, if it fits 64 bits.
fn number(bytes: &[u8]) -> Option<u64> {
    let (low, high) = bytes.split_first_chunk()?;
    high.iter().all(|byte| *byte == 0).then(|| u64::from_le_bytes(*low))
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u64).to_le_bytes());
    out.extend_from_slice(&[0; NUMBER_LEN - 8]);
}

fn bad(why: impl Into<String>) -> ItemError {
    ItemError::BadBundle(why.into())
}
