//! A counter and a token ledger. The same program in every language: see ../README.md.

mod abi;
mod ledger;

use ledger::Ledger;
use std::cell::RefCell;

thread_local! {
    /// The whole state. The host keeps memory from call to call, so nothing has to be saved.
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// Called once, in the first call.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    std::panic::set_hook(Box::new(|panic| abi::log(&panic.to_string())));
}

/// Called for every message.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
pub extern "C" fn handle(msg: *const u8, msg_len: usize, env: *const u8, env_len: usize) -> u64 {
    abi::serve((msg, msg_len), (env, env_len), |message, env| {
        LEDGER.with_borrow_mut(|ledger| ledger.handle(message, env))
    })
}
