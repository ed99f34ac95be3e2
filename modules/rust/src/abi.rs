//! The format `wasm32-drivebay-1` in Rust. What is unsafe about it is here.

use std::cell::RefCell;

thread_local! {
    /// What `alloc` gave out for the call at hand.
    static INPUTS: RefCell<Vec<Box<[u64]>>> = const { RefCell::new(Vec::new()) };
    /// The last reply: the host reads it after `handle` has returned.
    static REPLY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

mod host {
    #[link(wasm_import_module = "drivebay")]
    // SAFETY: this is the import as the format has it; the host checks the place that it is told.
    unsafe extern "C" {
        pub(super) safe fn log(text: *const u8, len: usize);
    }
}

/// Says one line to the author. Not part of any result.
pub(crate) fn log(line: &str) {
    host::log(line.as_ptr(), line.len());
}

/// Room for an input of `len` bytes, in words because the format wants it aligned to 8.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
extern "C" fn alloc(len: usize) -> *mut u8 {
    let mut input = vec![0u64; len.div_ceil(8).max(1)].into_boxed_slice();
    let at = input.as_mut_ptr().cast();
    INPUTS.with_borrow_mut(|inputs| inputs.push(input));
    at
}

/// Gives both inputs to `answer` and the host the place of its reply.
pub(crate) fn serve(
    message: (*const u8, usize),
    env: (*const u8, usize),
    answer: impl FnOnce(&[u8], &[u8]) -> Vec<u8>,
) -> u64 {
    // SAFETY: the host wrote both into buffers of `alloc`, which live until they are dropped below.
    let (message, env) = unsafe {
        (std::slice::from_raw_parts(message.0, message.1), std::slice::from_raw_parts(env.0, env.1))
    };
    let reply = answer(message, env);
    INPUTS.with_borrow_mut(Vec::clear);
    let place = (reply.as_ptr() as u64) << 32 | reply.len() as u64;
    REPLY.set(reply);
    place
}
