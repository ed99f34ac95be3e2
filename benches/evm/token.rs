//! The token of workload G, its holders, and its state: the same for every road.

use crate::asm;
use drivebay_evm::revm::{
    bytecode::Bytecode,
    database::InMemoryDB,
    primitives::{Address, U256, keccak256},
    state::AccountInfo,
};

const TOKEN: &str = "PUSH0 CALLDATALOAD 224 SHR DUP1 0xa9059cbb EQ @transfer JUMPI
    0x1b2ef1ca EQ @mint JUMPI PUSH0 PUSH0 REVERT
    transfer: CALLER PUSH0 MSTORE 64 PUSH0 KECCAK256 DUP1 SLOAD 36 CALLDATALOAD
    DUP1 DUP3 LT @poor JUMPI DUP1 DUP3 SUB DUP4 SSTORE
    4 CALLDATALOAD PUSH0 MSTORE 64 PUSH0 KECCAK256 DUP1 SLOAD DUP3 ADD SWAP1 SSTORE
    PUSH0 MSTORE 4 CALLDATALOAD CALLER
    0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef 32 PUSH0 LOG3
    1 PUSH0 MSTORE 32 PUSH0 RETURN poor: PUSH0 PUSH0 REVERT
    mint: 36 CALLDATALOAD 4 CALLDATALOAD
    more: DUP2 DUP2 LT ISZERO @done JUMPI
    DUP1 PUSH0 MSTORE 8 24 KECCAK256 0xffffffffffffffffffffffffffffffffffffffff AND
    PUSH0 MSTORE PUSH0 32 MSTORE 0x1000000000000000 64 PUSH0 KECCAK256 SSTORE
    1 ADD @more JUMP done: STOP";

const BALANCE: u64 = 1 << 60;

/// The token's code: `transfer(address,uint256)`, and `mint(uint256,uint256)`, which endows the holders of a range.
pub(crate) fn code() -> Vec<u8> {
    asm::asm(TOKEN)
}

pub(crate) fn holder(n: u64) -> Address {
    Address::from_word(keccak256(n.to_be_bytes()))
}

pub(crate) fn mint(first: u64, end: u64) -> Vec<u8> {
    let mut data = vec![0x1b, 0x2e, 0xf1, 0xca];
    data.extend(U256::from(first).to_be_bytes::<32>());
    data.extend(U256::from(end).to_be_bytes::<32>());
    data
}

/// Who sends to whom.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) holders: u64,
    /// So many of the holders send, in no order; all of them in turn, if they are so many.
    pub(crate) senders: u64,
}

/// A number that looks like chance (splitmix64).
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Crowd {
    pub(crate) fn is_small(&self) -> bool {
        self.holders == self.senders
    }

    pub(crate) fn sender(&self, n: u64) -> Address {
        holder(if self.is_small() { n } else { mixed(2 * n) } % self.senders)
    }

    pub(crate) fn transfer(&self, n: u64) -> Vec<u8> {
        let to = if self.is_small() { n * 7 + 1 } else { mixed(2 * n + 1) } % self.holders;
        let mut data = vec![0xa9, 0x05, 0x9c, 0xbb];
        data.extend(holder(to).into_word());
        data.extend(U256::from(n % 9 + 1).to_be_bytes::<32>());
        data
    }

    /// The token at `home`, and its holders' balances.
    pub(crate) fn in_memory(&self, home: Address) -> InMemoryDB {
        let mut db = InMemoryDB::default();
        db.insert_account_info(
            home,
            AccountInfo::from_bytecode(Bytecode::new_legacy(code().into())),
        );
        for n in 0..self.holders {
            let slot = keccak256([holder(n).into_word().0, [0; 32]].concat());
            let slot = U256::from_be_bytes(slot.0);
            db.insert_account_storage(home, slot, U256::from(BALANCE)).unwrap();
        }
        db
    }
}
