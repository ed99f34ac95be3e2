//! An assembler, as small as the programs here.
//!
//! Words are split by white space. A mnemonic is its opcode; a decimal or `0x` number is a PUSH of as few
//! bytes as it takes; `"text"` is a PUSH32 of its bytes, left-aligned as calldata is; `name:` is a JUMPDEST
//! there, and `@name` a PUSH2 of it. A `;` starts a comment.

use drivebay_evm::revm::bytecode::opcode::OpCode;
use drivebay_evm::revm::primitives::U256;

const JUMPDEST: u8 = 0x5b;
const PUSH0: u8 = 0x5f;

pub(crate) fn asm(text: &str) -> Vec<u8> {
    let words: Vec<&str> = text
        .lines()
        .flat_map(|line| line.split(';').next().unwrap_or_default().split_whitespace())
        .collect();
    let (mut code, mut labels, mut uses) = (Vec::new(), Vec::new(), Vec::new());
    for word in words {
        if let Some(label) = word.strip_suffix(':') {
            labels.push((label, code.len()));
            code.push(JUMPDEST);
        } else if let Some(label) = word.strip_prefix('@') {
            uses.push((label, code.len() + 1));
            code.extend([PUSH0 + 2, 0, 0]);
        } else if let Some(text) = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            code.push(PUSH0 + 32);
            let at = code.len();
            code.extend(text.as_bytes());
            code.resize(at + 32, 0);
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            push(&mut code, word);
        } else {
            code.push(opcode(word));
        }
    }
    for (label, at) in uses {
        let (_, to) = labels.iter().find(|(name, _)| *name == label).expect(label);
        code[at..at + 2].copy_from_slice(&(*to as u16).to_be_bytes());
    }
    code
}

fn opcode(word: &str) -> u8 {
    let word = if word == "PREVRANDAO" { "DIFFICULTY" } else { word };
    let is_it = |byte: &u8| OpCode::new(*byte).is_some_and(|op| op.as_str() == word);
    (0..=255).find(is_it).unwrap_or_else(|| panic!("no opcode: {word}"))
}

fn push(code: &mut Vec<u8>, word: &str) {
    let number: U256 = word.parse().unwrap_or_else(|_| panic!("no number: {word}"));
    let len = number.byte_len();
    code.push(PUSH0 + len as u8);
    code.extend(&number.to_be_bytes::<32>()[32 - len..]);
}

/// Init code that returns `code`.
pub(crate) fn returning(code: &[u8]) -> Vec<u8> {
    let mut init = asm(&format!("{} DUP1 0x000c PUSH0 CODECOPY PUSH0 RETURN", code.len()));
    let len = init.len() as u8;
    let at = init.iter().position(|byte| *byte == 12).expect("the offset");
    init[at] = len;
    init.extend(code);
    init
}
