//! Random EVM programs: mostly of instructions that do something, with stacks that are mostly deep enough.

use drivebay_conformance::laws::Rng;

/// Instructions by how many values they take, and whether they leave one; none of them names a place in memory.
const PLAIN: &[(u64, bool, &[u8])] = &[
    (
        0,
        true,
        &[0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47],
    ),
    (0, true, &[0x48, 0x4a, 0x58, 0x59, 0x5a, 0x5f]),
    (1, true, &[0x15, 0x19, 0x1e, 0x31, 0x35, 0x3b, 0x3f, 0x40, 0x49, 0x54, 0x5c, 0x15, 0x54]),
    (
        2,
        true,
        &[0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14],
    ),
    (2, true, &[0x16, 0x17, 0x18, 0x1a, 0x1b, 0x1c, 0x1d]),
    (3, true, &[0x08, 0x09]),
    (1, false, &[0x50]),
    (2, false, &[0x55, 0x5d, 0x55]),
];
/// The same of those that do: they are given small numbers.
const PLACED: &[(u64, bool, &[u8])] = &[
    (1, true, &[0x51]),
    (2, true, &[0x20]),
    (2, false, &[0x52, 0x53, 0x52, 0xa0]),
    (3, false, &[0x37, 0x39, 0x5e, 0xa1]),
    (4, false, &[0x3c, 0xa2]),
    (3, true, &[0xf0]),
    (4, true, &[0xf5]),
];
/// Instructions of a constructor that leaves the code `5b` behind, and of a loop.
const CONSTRUCTOR: &[u8] = &[0x60, 0x5b, 0x5f, 0x53, 0x60, 0x01, 0x5f, 0xf3];

/// The runtime code of a contract. Its last act, if it comes so far, is to return a part of its memory.
pub(super) fn program(rng: &mut Rng) -> Vec<u8> {
    let mut code = Vec::new();
    // Counts its messages in slot 0, so that state always grows out of state.
    code.extend([0x5f, 0x54, 0x60, 0x01, 0x01, 0x80, 0x5f, 0x55, 0x5f, 0x52]);
    let mut height = 0;
    for _ in 0..4 + rng.below(70) {
        height = piece(rng, &mut code, height);
    }
    code.extend([0x60, 0x60, 0x5f, 0xf3]);
    code
}

/// Adds something, and says how many values are on the stack then.
fn piece(rng: &mut Rng, code: &mut Vec<u8>, mut height: u64) -> u64 {
    match rng.below(24) {
        0 | 1 => code.extend([0x60, rng.byte()]),
        2 => code.extend([0x61, rng.byte(), rng.byte()]),
        3 => {
            code.push(0x7f);
            code.extend((0..32).map(|_| rng.byte()).collect::<Vec<_>>());
        }
        4 | 5 => call(rng, code),
        6 => {
            code.extend([0x60, rng.below(64) as u8, 0x35, 0x60, rng.below(4) as u8, 0x55]);
            return height;
        }
        7 => {
            code.extend([0x60, rng.below(4) as u8, 0x54, 0x60, rng.below(96) as u8, 0x52]);
            return height;
        }
        8 => created(rng, code),
        9 if rng.once_in(12) => {
            // JUMPDEST, something, JUMP back: until the gas is gone.
            let start = code.len() as u16;
            code.push(0x5b);
            code.extend([0x60, rng.byte(), 0x60, rng.below(3) as u8, 0x55, 0x61]);
            code.extend(start.to_be_bytes());
            code.push(0x56);
            return height;
        }
        10 if rng.once_in(8) => code.push(rng.byte()),
        11 if height > 2 => {
            code.push([0x80, 0x81, 0x82, 0x90, 0x91].get(rng.place(5)).copied().unwrap_or(0x80));
            return height + u64::from(code.last().is_some_and(|op| *op < 0x90));
        }
        12..=14 => {
            let (takes, leaves, op) = one_of(rng, PLACED);
            for _ in 0..takes {
                code.extend([0x60, rng.below(100) as u8]);
            }
            code.push(op);
            return height + u64::from(leaves);
        }
        _ => {
            let (takes, leaves, op) = one_of(rng, PLAIN);
            while height < takes {
                code.extend([0x60, rng.byte()]);
                height += 1;
            }
            code.push(op);
            return height - takes + u64::from(leaves);
        }
    }
    height + 1
}

fn one_of(rng: &mut Rng, table: &[(u64, bool, &[u8])]) -> (u64, bool, u8) {
    let (takes, leaves, ops) = table.get(rng.place(table.len())).copied().unwrap_or((0, true, &[]));
    (takes, leaves, ops.get(rng.place(ops.len())).copied().unwrap_or(0x5f))
}

/// A call of itself or of a precompiled contract, with small memory ranges so that it is not mere waste.
fn call(rng: &mut Rng, code: &mut Vec<u8>) {
    let kind = [0xf1, 0xf1, 0xf2, 0xf4, 0xfa].get(rng.place(5)).copied().unwrap_or(0xf1);
    for _ in 0..4 {
        code.extend([0x60, rng.below(160) as u8]);
    }
    if matches!(kind, 0xf1 | 0xf2) {
        let value = [0, 0, 0, 1, 200].get(rng.place(5)).copied().unwrap_or(0);
        code.extend([0x60, value]);
    }
    if rng.once_in(2) {
        code.push(0x30)
    } else {
        code.extend([0x60, 1 + rng.below(0x11) as u8])
    }
    if rng.once_in(6) {
        code.push(0x5a);
    } else {
        code.extend([0x62, 0, rng.byte(), rng.byte()]);
    }
    code.push(kind);
}

/// A contract made, called, and forgotten.
fn created(rng: &mut Rng, code: &mut Vec<u8>) {
    for (at, byte) in CONSTRUCTOR.iter().enumerate() {
        code.extend([0x60, *byte, 0x60, at as u8, 0x53]);
    }
    let two = rng.once_in(2);
    if two {
        code.extend([0x60, rng.below(3) as u8]);
    }
    code.extend([0x60, CONSTRUCTOR.len() as u8, 0x5f, 0x5f, if two { 0xf5 } else { 0xf0 }]);
    code.extend([0x80, 0x3b, 0x50]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_differ_and_are_small() {
        let all: Vec<_> = (0..50).map(|seed| program(&mut Rng::new(seed, "test"))).collect();
        assert!(all.iter().all(|code| code.len() < 8192));
        assert!(
            all.iter().enumerate().all(|(at, code)| !all.iter().take(at).any(|one| one == code))
        );
    }
}
