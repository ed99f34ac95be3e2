//! A mutex, whoever died with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. Guests run under no lock, and what is kept under one is whole at every step, so a panic
/// elsewhere has broken nothing here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
