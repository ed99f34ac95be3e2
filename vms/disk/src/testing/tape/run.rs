//! What a `Tape` does with one call.

use super::{ASK_MAX, TAPE_BYTES, TapeDisk};
use crate::*;
use bytes::Bytes;
use std::{slice::from_mut, sync::Arc};

/// Who must act when it stops early? The module's author, or the operator. Neither can be caught.
pub(super) enum Stop {
    Fault(Fault),
    Host(HostError),
}

impl From<PageError> for Stop {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Host(error) => Self::Host(error),
            PageError::OutOfRange { .. } => Self::Host(bug!("the head left the tape: {error}")),
        }
    }
}

fn fault<T>(code: FaultCode) -> Result<T, Stop> {
    Err(Stop::Fault(Fault::new(code, "")))
}

pub(super) struct Run {
    disk: Arc<TapeDisk>,
    pub(super) tape: Pages,
    pub(super) call: Arc<Call>,
    limits: Limits,
    host: Arc<dyn Host>,
    message: Bytes,
    pub(super) said: Vec<u8>,
    head: u64,
    pub(super) used: u64,
}

impl Run {
    pub(super) fn new(
        (disk, tape): (Arc<TapeDisk>, Pages),
        call: Arc<Call>,
        limits: Limits,
        host: Arc<dyn Host>,
    ) -> Self {
        let message = call.message.data.clone().unwrap_or_default();
        Self { disk, tape, call, limits, host, message, said: Vec::new(), head: 0, used: 0 }
    }

    /// Runs the program, and every call of it in itself.
    pub(super) fn play(&mut self) -> Result<(), Stop> {
        let (mut at, mut returns) = (0, Vec::new());
        loop {
            let Some(op) = self.disk.code.get(at).copied() else {
                let Some(back) = returns.pop() else { return Ok(()) };
                at = back;
                continue;
            };
            self.pay(if op == b'?' { ASK_MAX } else { 1 })?;
            let (cell, operand) = (self.cell()?, self.disk.code.get(at + 1).copied());
            match (op, operand) {
                (b'@', _) if returns.len() as u64 >= self.limits.depth.into() => {
                    return fault(FaultCode::TooDeep);
                }
                (b'@', _) => returns.push(at + 1),
                (b'\'', Some(byte)) => self.put(byte)?,
                (b'=', Some(byte)) => self.put(u8::from(cell == byte))?,
                _ => self.step(op, cell)?,
            }
            at = match op {
                b'@' => 0,
                b'\'' | b'=' => at + 2,
                b'[' if cell == 0 => self.jump(at),
                b']' if cell != 0 => self.jump(at),
                _ => at + 1,
            };
        }
    }

    fn step(&mut self, op: u8, cell: u8) -> Result<(), Stop> {
        match op {
            b'>' => self.go(1),
            b'<' => self.go(-1),
            b')' => self.go(PAGE as i64),
            b'(' => self.go(-(PAGE as i64)),
            b'+' => self.put(cell.wrapping_add(1)),
            b'-' => self.put(cell.wrapping_sub(1)),
            b',' => {
                let byte = self.message.split_to(self.message.len().min(1));
                self.put(byte.first().copied().unwrap_or(0))
            }
            b'.' => self.room().map(|()| self.said.push(cell)),
            b'!' => {
                self.room()?;
                let (code, note) = (FaultCode::Raised, "raised by !".into());
                Err(Stop::Fault(Fault { code, payload: vec![cell], note }))
            }
            b'?' => self.ask(),
            _ => Ok(()),
        }
    }

    /// What does the host know that the call does not say? A host error goes past the guest.
    fn ask(&mut self) -> Result<(), Stop> {
        let id = self.call.message.data.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let found = self.host.read(&Resource::Data(id.into()), 0..ASK_MAX).map_err(Stop::Host)?;
        self.put(found.is_some().into())?;
        self.message = found.map(|data| data.bytes).unwrap_or_default();
        Ok(())
    }

    /// What is paid? All work, before it is done. One that cannot pay has used all it had.
    fn pay(&mut self, price: u64) -> Result<(), Stop> {
        let limit = self.limits.fuel.0;
        let enough = self.used.checked_add(price).filter(|used| *used <= limit);
        self.used = enough.unwrap_or(limit);
        enough.map_or_else(|| fault(FaultCode::OutOfFuel), |_| Ok(()))
    }

    /// What is limited? Depth, above; memory and output, here.
    fn cell(&self) -> Result<u8, Stop> {
        if self.head >= self.limits.memory_bytes.min(TAPE_BYTES) {
            return fault(FaultCode::OutOfMemory);
        }
        let mut cell = 0;
        self.tape.read(self.head, from_mut(&mut cell))?;
        Ok(cell)
    }
    fn room(&self) -> Result<(), Stop> {
        let full = self.said.len() as u64 >= self.limits.output_bytes.into();
        if full { fault(FaultCode::TooLoud) } else { Ok(()) }
    }
    fn put(&mut self, cell: u8) -> Result<(), Stop> {
        Ok(self.tape.write(self.head, &[cell])?)
    }
    fn go(&mut self, by: i64) -> Result<(), Stop> {
        let head = self.head.checked_add_signed(by);
        self.head = head.map_or_else(|| fault(FaultCode::Trapped), Ok)?;
        Ok(())
    }
    fn jump(&self, at: usize) -> usize {
        self.disk.jumps.get(at).copied().unwrap_or(usize::MAX)
    }
}
