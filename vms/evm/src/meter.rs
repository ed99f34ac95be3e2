//! What a call may use, counted beside Ethereum's gas.
//!
//! Gas is what contracts see and can hand out: a callee may run out of it, and its caller goes on. Fuel is
//! the host's: the gas of all work done so far, wherever it was done. It is never lent, never comes back,
//! and its end ends the call. Gas that a failing frame forfeits is not work, so it is not fuel.

use drivebay_disk::{Fault, FaultCode, HostError, Limits};

/// Why a call ended where no contract can see it.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Fuel,
    Memory,
    Depth,
    Host(HostError),
}

impl Stop {
    pub(crate) fn fault(&self) -> Result<Fault, HostError> {
        let fault = match self {
            Self::Fuel => Fault::new(
                FaultCode::OutOfFuel,
                "the call used all its gas; raise the process's Compute-Limit or do less at a time",
            ),
            Self::Memory => Fault::new(FaultCode::OutOfMemory, "all frames together"),
            Self::Depth => Fault::new(FaultCode::TooDeep, ""),
            Self::Host(error) => return Err(error.clone()),
        };
        Ok(fault)
    }
}

/// Counts the work of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Gas limit of the transaction.
    gas: u64,
    /// Fuel limit.
    fuel: u64,
    /// What is counted already: earlier transactions of the same call.
    before: u64,
    /// Deepest frame allowed; Ethereum's own limit is not ours.
    depth: usize,
    /// Gas that frames wait with while a callee runs, and their sum.
    parked: Vec<u64>,
    parked_sum: u64,
    /// Gas that was lost without work.
    forfeited: u64,
    /// Least gas that the running frame may have left.
    least: u64,
    /// Work counted when something stopped.
    used: u64,
    pub(crate) stop: Option<Stop>,
}

impl Meter {
    /// A meter for a transaction of `gas`, when the call did `before` already.
    pub(crate) fn new(gas: u64, before: u64, limits: &Limits) -> Self {
        let depth = match limits.depth {
            crate::formats::DEPTH.. => usize::MAX,
            depth => depth as usize,
        };
        let mut meter = Self { gas, fuel: limits.fuel.0, before, depth, ..Self::default() };
        meter.settle();
        meter
    }

    fn settle(&mut self) {
        let spare = self.gas.saturating_add(self.before).saturating_sub(self.fuel);
        self.least = spare.saturating_sub(self.parked_sum.saturating_add(self.forfeited));
    }

    /// Work done when the running frame has `remaining` gas.
    pub(crate) fn work(&self, remaining: u64) -> u64 {
        let rest = self.parked_sum.saturating_add(self.forfeited).saturating_add(remaining);
        self.before.saturating_add(self.gas.saturating_sub(rest))
    }

    /// Work done when the transaction is over, and gas says that `spent` is gone.
    pub(crate) fn work_of(&self, spent: u64) -> u64 {
        self.before.saturating_add(spent.saturating_sub(self.forfeited))
    }

    /// Whether a frame with that much gas has used more than there is.
    pub(crate) fn is_over(&self, remaining: u64) -> bool {
        remaining < self.least
    }

    /// Most gas that a precompile may use now, of the `offered`.
    pub(crate) fn affordable(&self, offered: u64) -> u64 {
        offered.saturating_sub(self.least)
    }

    /// Ends the call.
    pub(crate) fn halt(&mut self, stop: Stop, remaining: u64) {
        self.used = self.work(remaining);
        let over = self.used > self.fuel && !matches!(stop, Stop::Host(_));
        self.stop.get_or_insert(if over { Stop::Fuel } else { stop });
    }

    pub(crate) fn is_too_deep(&self, depth: usize) -> bool {
        depth > self.depth
    }

    /// The running frame calls another.
    pub(crate) fn park(&mut self, remaining: u64) {
        self.parked.push(remaining);
        self.parked_sum = self.parked_sum.saturating_add(remaining);
        self.settle();
    }

    /// The callee is done; its caller runs again.
    pub(crate) fn unpark(&mut self) {
        self.parked_sum = self.parked_sum.saturating_sub(self.parked.pop().unwrap_or(0));
        self.settle();
    }

    /// A frame failed, and its gas is gone.
    pub(crate) fn forfeit(&mut self, remaining: u64) {
        self.forfeited = self.forfeited.saturating_add(remaining);
        self.settle();
    }

    /// Fuel used: what was counted at the stop, or all there was if it was the fuel.
    pub(crate) fn used_at_stop(&self) -> u64 {
        match self.stop {
            Some(Stop::Fuel) => self.fuel,
            _ => self.used.min(self.fuel),
        }
    }
}
