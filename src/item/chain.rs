//! The chain of hashes through a process's assignments: each link holds the one before, so that none can be
//! taken out or changed unseen.

use super::Id;

/// `Hash-Chain` of a process's first assignment.
pub fn first_link(process: &Id) -> Id {
    Id::of(process.as_bytes())
}

/// `Hash-Chain` of the assignment after the one with id `assignment` and `Hash-Chain` `link`.
pub fn next_link(assignment: &Id, link: &Id) -> Id {
    Id::of_parts(&[assignment.as_bytes(), link.as_bytes()])
}
