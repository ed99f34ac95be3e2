//! The processor: RV32I and M, as the unprivileged specification (20191213) has them.

use crate::{RAM, RAM_BYTES};
use drivebay_disk::*;

/// The longest id that service 3 takes, in bytes.
const ID_MAX: u32 = 64;
/// What service 3 costs besides its room.
const ASK_FUEL: u64 = 1000;

/// Why a run ended.
pub(crate) enum Stop {
    Done,
    Fault(Fault),
    Host(HostError),
}

impl From<PageError> for Stop {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Host(error) => Self::Host(error),
            PageError::OutOfRange { .. } => Self::Host(bug!("an address left memory: {error}")),
        }
    }
}

fn stop<T>(code: FaultCode, note: impl Into<Note>) -> Result<T, Stop> {
    Err(Stop::Fault(Fault::new(code, note)))
}

/// An instruction's fields.
#[derive(Clone, Copy)]
struct Op(u32);

impl Op {
    fn code(self) -> u32 {
        self.0 & 0x7f
    }
    fn rd(self) -> u32 {
        self.0 >> 7 & 31
    }
    fn f3(self) -> u32 {
        self.0 >> 12 & 7
    }
    fn rs1(self) -> u32 {
        self.0 >> 15 & 31
    }
    fn rs2(self) -> u32 {
        self.0 >> 20 & 31
    }
    fn f7(self) -> u32 {
        self.0 >> 25
    }
    fn i(self) -> u32 {
        (self.0.cast_signed() >> 20).cast_unsigned()
    }
    fn s(self) -> u32 {
        (self.0.cast_signed() >> 25 << 5).cast_unsigned() | self.rd()
    }
    fn b(self) -> u32 {
        let sign = (self.0.cast_signed() >> 31 << 12).cast_unsigned();
        sign | (self.0 & 0x80) << 4 | (self.0 >> 20 & 0x7e0) | (self.0 >> 7 & 0x1e)
    }
    fn u(self) -> u32 {
        self.0 & 0xffff_f000
    }
    fn j(self) -> u32 {
        let sign = (self.0.cast_signed() >> 31 << 20).cast_unsigned();
        sign | (self.0 & 0xf_f000) | (self.0 >> 9 & 0x800) | (self.0 >> 20 & 0x7fe)
    }
}

pub(crate) struct Cpu<'a> {
    rom: &'a [u8],
    pub(crate) ram: Pages,
    call: &'a Call,
    limits: Limits,
    host: &'a dyn Host,
    x: [u32; 32],
    pc: u32,
    depth: u32,
    pub(crate) said: Vec<u8>,
    pub(crate) used: u64,
}

impl<'a> Cpu<'a> {
    pub(crate) fn new(
        rom: &'a [u8],
        ram: Pages,
        (call, limits): (&'a Call, Limits),
        host: &'a dyn Host,
    ) -> Self {
        let (x, pc, depth, said, used) = ([0; 32], 0, 0, Vec::new(), 0);
        Self { rom, ram, call, limits, host, x, pc, depth, said, used }
    }

    /// Runs until something stops it.
    pub(crate) fn play(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.step() {
                return stop;
            }
        }
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.pay(1)?;
        let op = Op(self.fetch()?);
        let next = self.pc.wrapping_add(4);
        let (a, b) = (self.get(op.rs1()), self.get(op.rs2()));
        let at = self.pc;
        self.pc = next;
        match op.code() {
            0x37 => self.set(op.rd(), op.u()),
            0x17 => self.set(op.rd(), at.wrapping_add(op.u())),
            0x6f => return self.jump(op, at.wrapping_add(op.j()), next),
            0x67 if op.f3() == 0 => return self.jump(op, a.wrapping_add(op.i()) & !1, next),
            0x63 if branch(op.f3(), a, b)? => self.pc = at.wrapping_add(op.b()),
            0x63 | 0x0f => {}
            0x03 => {
                let value = self.load(op.f3(), a.wrapping_add(op.i()))?;
                self.set(op.rd(), value);
            }
            0x23 => return self.store(op.f3(), a.wrapping_add(op.s()), b),
            0x13 => {
                let shift = matches!(op.f3(), 1 | 5);
                let value = alu(op.f3(), if shift { op.f7() } else { 0 }, a, op.i())?;
                self.set(op.rd(), value);
            }
            0x33 if op.f7() == 1 => self.set(op.rd(), multiply(op.f3(), a, b)),
            0x33 => {
                let value = alu(op.f3(), op.f7(), a, b)?;
                self.set(op.rd(), value);
            }
            0x73 if op.0 == 0x73 => return self.service(),
            _ => return stop(FaultCode::Trapped, format!("no instruction: {:#010x}", op.0)),
        }
        Ok(())
    }

    fn fetch(&self) -> Result<u32, Stop> {
        let at = self.pc as usize;
        let word = self.rom.get(at..).and_then(|rest| rest.first_chunk());
        match word {
            Some(word) if at.is_multiple_of(4) => Ok(u32::from_le_bytes(*word)),
            _ => stop(FaultCode::Trapped, format!("no code at {at:#010x}")),
        }
    }

    /// A jump that links, and the depth that a return-address stack would have after it.
    fn jump(&mut self, op: Op, to: u32, back: u32) -> Result<(), Stop> {
        let link = |register: u32| matches!(register, 1 | 5);
        let register = op.code() == 0x67;
        if register && link(op.rs1()) && op.rs1() != op.rd() {
            self.depth = self.depth.saturating_sub(1);
        }
        if link(op.rd()) {
            if self.depth >= self.limits.depth {
                return stop(FaultCode::TooDeep, "");
            }
            self.depth += 1;
        }
        self.set(op.rd(), back);
        self.pc = to;
        Ok(())
    }

    fn load(&self, f3: u32, at: u32) -> Result<u32, Stop> {
        let signed = |value: i32| value.cast_unsigned();
        Ok(match f3 {
            0 => signed(i8::from_le_bytes(self.take(at)?).into()),
            1 => signed(i16::from_le_bytes(self.take(at)?).into()),
            2 => u32::from_le_bytes(self.take(at)?),
            4 => u8::from_le_bytes(self.take(at)?).into(),
            5 => u16::from_le_bytes(self.take(at)?).into(),
            _ => return stop(FaultCode::Trapped, "no such load"),
        })
    }

    fn store(&mut self, f3: u32, at: u32, value: u32) -> Result<(), Stop> {
        let [low, high, ..] = value.to_le_bytes();
        match f3 {
            0 => self.write(at, &[low]),
            1 => self.write(at, &[low, high]),
            2 => self.write(at, &value.to_le_bytes()),
            _ => stop(FaultCode::Trapped, "no such store"),
        }
    }

    fn service(&mut self) -> Result<(), Stop> {
        let [a0, a1, a2, a3] = [10, 11, 12, 13].map(|register| self.get(register));
        match self.get(17) {
            0 if a0 == 0 => Err(Stop::Done),
            0 => stop(FaultCode::Raised, format!("ended with {a0}")),
            1 => self.say(a0, a1),
            2 => {
                let data = self.call.message.data.clone().unwrap_or_default();
                self.give(a0, a1, &data)
            }
            3 => self.ask((a0, a1), (a2, a3)),
            4 => {
                let call = self.call;
                let mut facts = call.timestamp_ms.to_le_bytes().to_vec();
                facts.extend(call.block_height.to_le_bytes());
                facts.extend(call.seed);
                self.give(a0, 48, &facts)
            }
            other => stop(FaultCode::Trapped, format!("no service {other}")),
        }
    }

    fn say(&mut self, at: u32, length: u32) -> Result<(), Stop> {
        self.pay(length.into())?;
        if self.said.len() as u64 + u64::from(length) > self.limits.output_bytes.into() {
            return stop(FaultCode::TooLoud, "");
        }
        let mut bytes = vec![0; length as usize];
        self.read(at, &mut bytes)?;
        self.said.append(&mut bytes);
        Ok(())
    }

    /// Writes as much of `bytes` as there is room for, and answers how many there are.
    fn give(&mut self, at: u32, room: u32, bytes: &[u8]) -> Result<(), Stop> {
        self.pay(room.into())?;
        self.write(at, bytes.get(..room as usize).unwrap_or(bytes))?;
        self.set(10, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    fn ask(&mut self, (id, length): (u32, u32), (at, room): (u32, u32)) -> Result<(), Stop> {
        self.pay(ASK_FUEL + u64::from(room))?;
        let mut text = [0; ID_MAX as usize];
        let Some(text) = text.get_mut(..length as usize) else {
            return stop(FaultCode::Trapped, "an id is longer than 64 bytes");
        };
        self.read(id, text)?;
        let what = Resource::Data(String::from_utf8_lossy(text).into());
        let Some(data) = self.host.read(&what, 0..room.into()).map_err(Stop::Host)? else {
            self.set(10, u32::MAX);
            return Ok(());
        };
        self.write(at, data.bytes.get(..room as usize).unwrap_or(&data.bytes))?;
        self.set(10, u32::try_from(data.total).unwrap_or(u32::MAX - 1).min(u32::MAX - 1));
        Ok(())
    }

    /// All work is paid for before it is done. What cannot pay has used all it had.
    fn pay(&mut self, price: u64) -> Result<(), Stop> {
        let limit = self.limits.fuel.0;
        let enough = self.used.checked_add(price).filter(|used| *used <= limit);
        self.used = enough.unwrap_or(limit);
        enough.map_or_else(|| stop(FaultCode::OutOfFuel, ""), |_| Ok(()))
    }

    /// Where in memory `length` bytes from an address are.
    fn place(&self, at: u32, length: usize) -> Result<u64, Stop> {
        let Some(start) = at.checked_sub(RAM).map(u64::from) else {
            return stop(FaultCode::Trapped, format!("no memory at {at:#010x}"));
        };
        if start + length as u64 > self.limits.memory_bytes.min(RAM_BYTES) {
            return stop(FaultCode::OutOfMemory, "");
        }
        Ok(start)
    }

    fn read(&self, at: u32, bytes: &mut [u8]) -> Result<(), Stop> {
        let constants = self.rom.get(at as usize..).and_then(|rest| rest.get(..bytes.len()));
        if let Some(constants) = constants {
            bytes.copy_from_slice(constants);
            return Ok(());
        }
        let place = self.place(at, bytes.len())?;
        Ok(self.ram.read(place, bytes)?)
    }

    fn take<const N: usize>(&self, at: u32) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Stop> {
        let place = self.place(at, bytes.len())?;
        Ok(self.ram.write(place, bytes)?)
    }

    fn get(&self, register: u32) -> u32 {
        self.x.get(register as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, register: u32, value: u32) {
        if let Some(place) = self.x.get_mut(register as usize).filter(|_| register != 0) {
            *place = value;
        }
    }
}

fn branch(f3: u32, a: u32, b: u32) -> Result<bool, Stop> {
    Ok(match f3 {
        0 => a == b,
        1 => a != b,
        4 => a.cast_signed() < b.cast_signed(),
        5 => a.cast_signed() >= b.cast_signed(),
        6 => a < b,
        7 => a >= b,
        _ => return stop(FaultCode::Trapped, "no such branch"),
    })
}

fn alu(f3: u32, f7: u32, a: u32, b: u32) -> Result<u32, Stop> {
    let shift = b & 31;
    Ok(match (f3, f7) {
        (0, 0) => a.wrapping_add(b),
        (0, 32) => a.wrapping_sub(b),
        (1, 0) => a << shift,
        (2, 0) => (a.cast_signed() < b.cast_signed()).into(),
        (3, 0) => (a < b).into(),
        (4, 0) => a ^ b,
        (5, 0) => a >> shift,
        (5, 32) => (a.cast_signed() >> shift).cast_unsigned(),
        (6, 0) => a | b,
        (7, 0) => a & b,
        _ => return stop(FaultCode::Trapped, "no such operation"),
    })
}

/// Division by zero and overflow have values of their own here: nothing traps.
fn multiply(f3: u32, a: u32, b: u32) -> u32 {
    let (sa, sb) = (a.cast_signed(), b.cast_signed());
    let high = |product: i64| (product.cast_unsigned() >> 32) as u32;
    match f3 {
        0 => a.wrapping_mul(b),
        1 => high(i64::from(sa) * i64::from(sb)),
        2 => high(i64::from(sa) * i64::from(b)),
        3 => ((u64::from(a) * u64::from(b)) >> 32) as u32,
        4 if b == 0 => u32::MAX,
        4 => sa.wrapping_div(sb).cast_unsigned(),
        5 => a.checked_div(b).unwrap_or(u32::MAX),
        6 if b == 0 => a,
        6 => sa.wrapping_rem(sb).cast_unsigned(),
        _ => a.checked_rem(b).unwrap_or(a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_carry_their_sign() {
        // addi a0, a0, -1; sw a1, -4(a0); beq a0, a1, -8; jal ra, -12
        assert_eq!(Op(0xfff5_0513).i(), u32::MAX);
        assert_eq!(Op(0xfeb5_2e23).s().cast_signed(), -4);
        assert_eq!(Op(0xfeb5_0ce3).b().cast_signed(), -8);
        assert_eq!(Op(0xff5f_f0ef).j().cast_signed(), -12);
    }

    #[test]
    fn division_is_total() {
        let least = i32::MIN.cast_unsigned();
        assert_eq!([4, 5, 6, 7].map(|f3| multiply(f3, 7, 0)), [u32::MAX, u32::MAX, 7, 7]);
        assert_eq!([4, 6].map(|f3| multiply(f3, least, u32::MAX)), [least, 0]);
        assert_eq!(
            [1, 2, 3].map(|f3| multiply(f3, u32::MAX, u32::MAX)),
            [0, u32::MAX, u32::MAX - 1]
        );
    }
}
