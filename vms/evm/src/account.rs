//! An account as a row of the table of accounts.
//!
//! The row is the account's RLP (Yellow Paper §4.1) without its storage root: the table puts the root of
//! the row's own table there, so the trie's root is Ethereum's.

use revm::primitives::{B256, KECCAK_EMPTY, U256};

/// Bytes of a row after the place of the storage root: a string of 32 bytes, the code's hash.
pub(crate) const AFTER: u16 = 33;
/// A list of 66 bytes and more has its length in one byte of its own.
const LIST: u8 = 0xf8;
/// A string of 32 bytes.
const HASH: u8 = 0xa0;

/// What an account is, besides its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK_EMPTY }
    }
}

/// A row in the making: at most 3 + 9 + 33 + 33 bytes.
pub(crate) struct Row {
    bytes: [u8; 80],
    len: usize,
}

impl Row {
    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(to) = self.bytes.get_mut(self.len..end) {
            to.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn number(&mut self, number: U256) {
        let mut bytes = [0; 33];
        let len = rlp_number(number, &mut bytes);
        self.push(bytes.get(..len).unwrap_or_default());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Writes the RLP of a number, and says how many bytes it takes.
pub(crate) fn rlp_number(number: U256, into: &mut [u8; 33]) -> usize {
    let digits = number.to_be_bytes::<32>();
    let len = number.byte_len();
    let digits = digits.get(32 - len..).unwrap_or_default();
    let (head, rest) = into.split_at_mut(1);
    match (digits, head) {
        ([digit @ 0..0x80], [head]) => {
            *head = *digit;
            1
        }
        (digits, [head]) => {
            *head = 0x80 + len as u8;
            rest.iter_mut().zip(digits).for_each(|(to, from)| *to = *from);
            1 + len
        }
        _ => 0,
    }
}

/// Reads the RLP of a number at the start of `bytes`, if it is the one way to write it; and the rest.
pub(crate) fn read_number(bytes: &[u8]) -> Option<(U256, &[u8])> {
    let (head, rest) = bytes.split_first()?;
    if let 1..0x80 = *head {
        return Some((U256::from(*head), rest));
    }
    let len = usize::from(head.checked_sub(0x80)?);
    let (digits, rest) = rest.split_at_checked(len).filter(|_| len <= 32)?;
    let number = U256::from_be_slice(digits);
    let short = matches!(digits, [0, ..]) || matches!(digits, [0..0x80]);
    (!short).then_some((number, rest))
}

impl Account {
    /// Neither nonce nor balance nor code: no such account (EIP-161).
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn row(&self) -> Row {
        let mut row = Row { bytes: [0; 80], len: 2 };
        row.number(U256::from(self.nonce));
        row.number(self.balance);
        let body = row.len - 2 + 66;
        row.push(&[HASH, HASH]);
        row.push(&self.code_hash.0);
        let [list, len, ..] = &mut row.bytes;
        (*list, *len) = (LIST, body as u8);
        row
    }

    /// The account that a row is of, if it is the one way to write it.
    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let body = row.strip_prefix(&[LIST])?;
        let (len, body) = body.split_first()?;
        let (nonce, rest) = read_number(body)?;
        let (balance, rest) = read_number(rest)?;
        let code_hash = rest.strip_prefix(&[HASH, HASH])?;
        let code_hash = B256::try_from(code_hash).ok()?;
        let whole = body.len() + 32 == usize::from(*len);
        whole.then_some(Self { nonce: nonce.try_into().ok()?, balance, code_hash })
    }
}

impl AsRef<[u8]> for Row {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use alloy_rlp::Encodable;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_go_both_ways_and_are_ethereums(nonce: u64, limbs: [u64; 4], cut in 0..256usize, code: [u8; 32]) {
            let balance = U256::from_limbs(limbs) >> cut;
            let account = Account { nonce, balance, code_hash: B256::from(code) };
            let row = account.row();
            prop_assert_eq!(Account::from_row(row.bytes()), Some(account));
            let mut expected = Vec::new();
            let root = B256::repeat_byte(7);
            let fields: [&dyn Encodable; 4] = [&nonce, &balance, &root, &account.code_hash];
            alloy_rlp::Header {
                list: true,
                payload_length: fields.iter().map(|field| field.length()).sum(),
            }
            .encode(&mut expected);
            fields.iter().for_each(|field| field.encode(&mut expected));
            let (before, after) = row.bytes().split_at(row.bytes().len() - usize::from(AFTER));
            prop_assert_eq!([before, &root.0, after].concat(), expected);
        }
    }

    #[test]
    fn other_ways_to_write_a_row_are_refused() {
        let row = Account { nonce: 1, balance: U256::from(300), code_hash: KECCAK_EMPTY }.row();
        let row = row.bytes().to_vec();
        assert!(Account::from_row(&row).is_some());
        for at in 0..5 {
            let mut bent = row.clone();
            bent[at] ^= 0x80;
            assert_ne!(Account::from_row(&bent), Account::from_row(&row), "byte {at}");
        }
        assert!(Account::from_row(&row[..row.len() - 1]).is_none());
        assert_eq!(read_number(&[0x81, 5]), None);
        assert_eq!(read_number(&[0x82, 0, 5]), None);
        assert_eq!(read_number(&[0]), None);
        assert_eq!(read_number(&[0x80]).unwrap().0, U256::ZERO);
    }
}
