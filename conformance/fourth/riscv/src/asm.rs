//! A small assembler, so that programs can be read. One instruction, label or `.word` a line; `#` begins a
//! comment. Registers by their ABI names, and the pseudo-instructions `li`, `la`, `mv`, `j`, `call`, `ret`,
//! `beqz`, `bnez`.

use std::collections::BTreeMap;

const REGISTERS: &str = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 \
    s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6";
/// Name, f7 and f3 of what takes two registers.
const REGISTER: &str = "add 0 0 sub 32 0 sll 0 1 slt 0 2 sltu 0 3 xor 0 4 srl 0 5 sra 32 5 or 0 6 and 0 7 \
    mul 1 0 mulh 1 1 mulhsu 1 2 mulhu 1 3 div 1 4 divu 1 5 rem 1 6 remu 1 7";
/// Name and f3.
const IMMEDIATE: &str = "addi 0 slti 2 sltiu 3 xori 4 ori 6 andi 7";
const LOAD: &str = "lb 0 lh 1 lw 2 lbu 4 lhu 5";
const STORE: &str = "sb 0 sh 1 sw 2";
const BRANCH: &str = "beq 0 bne 1 blt 4 bge 5 bltu 6 bgeu 7";

/// The module that `text` spells, or what is wrong with it and in which line.
pub fn assemble(text: &str) -> Result<Vec<u8>, String> {
    let lines = || (1..).zip(text.lines().map(|line| line.split('#').next().unwrap_or("").trim()));
    let (mut labels, mut at) = (BTreeMap::new(), 0);
    for (_, line) in lines() {
        match line.strip_suffix(':') {
            Some(label) => drop(labels.insert(label, at)),
            None => at += length(line),
        }
    }
    let (mut code, mut at) = (Vec::new(), 0);
    for (number, line) in lines().filter(|(_, line)| !line.is_empty() && !line.ends_with(':')) {
        let words = Line { labels: &labels, at, parts: parts(line) }.words();
        let words = words.ok_or_else(|| format!("line {number}: no instruction: {line}"))?;
        at += 4 * words.len() as u32;
        code.extend(words.into_iter().flat_map(u32::to_le_bytes));
    }
    Ok(code)
}

/// Bytes that a line takes; `li` and `la` always take two words.
fn length(line: &str) -> u32 {
    match parts(line).first() {
        None => 0,
        Some(&("li" | "la")) => 8,
        Some(_) => 4,
    }
}

fn parts(line: &str) -> Vec<&str> {
    line.split([' ', ',', '(', ')']).filter(|part| !part.is_empty()).collect()
}

fn numbers<const N: usize>(table: &str, name: &str) -> Option<[u32; N]> {
    let mut words = table.split_whitespace();
    words.find(|word| *word == name)?;
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = words.next()?.parse().ok()?;
    }
    Some(numbers)
}

struct Line<'a> {
    labels: &'a BTreeMap<&'a str, u32>,
    at: u32,
    parts: Vec<&'a str>,
}

impl Line<'_> {
    fn words(&self) -> Option<Vec<u32>> {
        let name = *self.parts.first()?;
        Some(match name {
            "li" => self.long(self.number(2)?)?,
            "la" => self.long(*self.labels.get(self.parts.get(2)?)?)?,
            _ => vec![self.word(name)?],
        })
    }

    fn word(&self, name: &str) -> Option<u32> {
        let (a, b, c) = (self.register(1), self.register(2), self.register(3));
        if let Some([f7, f3]) = numbers(REGISTER, name) {
            return Some(f7 << 25 | c? << 20 | b? << 15 | f3 << 12 | a? << 7 | 0x33);
        }
        if let Some([f3]) = numbers(IMMEDIATE, name) {
            return Some(i_type(self.number(3)?, b?, f3, a?, 0x13));
        }
        if let Some([f3]) = numbers(LOAD, name) {
            return Some(i_type(self.number(2)?, c?, f3, a?, 0x03));
        }
        if let Some([f3]) = numbers(STORE, name) {
            let offset = self.number(2)?;
            let (high, low) = (offset >> 5 & 0x7f, offset & 31);
            return Some(high << 25 | a? << 20 | c? << 15 | f3 << 12 | low << 7 | 0x23);
        }
        if let Some([f3]) = numbers(BRANCH, name) {
            return Some(b_type(self.way(3)?, b?, a?, f3));
        }
        Some(match name {
            "beqz" => b_type(self.way(2)?, 0, a?, 0),
            "bnez" => b_type(self.way(2)?, 0, a?, 1),
            "mv" => i_type(0, b?, 0, a?, 0x13),
            "j" => j_type(self.way(1)?, 0),
            "call" => j_type(self.way(1)?, 1),
            "ret" => i_type(0, 1, 0, 0, 0x67),
            "ecall" => 0x73,
            ".word" => self.number(1)?,
            _ => return None,
        })
    }

    /// `lui` and `addi`, which adds a signed half.
    fn long(&self, value: u32) -> Option<Vec<u32>> {
        let register = self.register(1)?;
        let high = value.wrapping_add(0x800) & 0xffff_f000;
        Some(vec![high | register << 7 | 0x37, i_type(value, register, 0, register, 0x13)])
    }

    fn register(&self, part: usize) -> Option<u32> {
        let name = self.parts.get(part)?;
        let at = REGISTERS.split_whitespace().position(|register| register == *name)?;
        u32::try_from(at).ok()
    }

    /// A number or a character, as 32 bits.
    fn number(&self, part: usize) -> Option<u32> {
        let text = *self.parts.get(part)?;
        if let Some(hex) = text.strip_prefix("0x") {
            return u32::from_str_radix(hex, 16).ok();
        }
        if let Some(quoted) = text.strip_prefix('\'') {
            return quoted.strip_suffix('\'')?.parse().ok().map(|c: char| c.into());
        }
        text.parse::<i64>().ok().map(|number| number as u32)
    }

    /// From here to a label.
    fn way(&self, part: usize) -> Option<u32> {
        Some(self.labels.get(self.parts.get(part)?)?.wrapping_sub(self.at))
    }
}

fn i_type(immediate: u32, rs1: u32, f3: u32, rd: u32, code: u32) -> u32 {
    immediate << 20 | rs1 << 15 | f3 << 12 | rd << 7 | code
}

fn b_type(way: u32, rs2: u32, rs1: u32, f3: u32) -> u32 {
    let high = way >> 12 & 1;
    let low = (way >> 1 & 15) << 8 | (way >> 11 & 1) << 7;
    high << 31 | (way >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | low | 0x63
}

fn j_type(way: u32, rd: u32) -> u32 {
    let high = (way >> 20 & 1) << 31 | (way >> 1 & 0x3ff) << 21;
    high | (way >> 11 & 1) << 20 | (way >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn instructions_are_those_of_the_specification() {
        let words = |text| -> Vec<u32> {
            let code = assemble(text).unwrap();
            code.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
        };
        assert_eq!(words("addi a0, a0, -1"), [0xfff5_0513]);
        assert_eq!(words("sw a1, -4(a0)"), [0xfeb5_2e23]);
        assert_eq!(
            words("back:\nadd a0, a0, a1\nadd a0, a0, a1\nbeq a0, a1, back")[2],
            0xfeb5_0ce3
        );
        assert_eq!(words("li t0, 0x12345fff"), [0x1234_62b7, 0xfff2_8293]);
        assert_eq!(words("ecall\nret"), [0x73, 0x8067]);
        assert!(assemble("addi a0, a9, 1").unwrap_err().contains("line 1"));
    }
}
