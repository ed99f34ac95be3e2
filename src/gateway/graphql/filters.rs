//! What may be searched for.

use async_graphql::{Enum, InputObject};

/// Items with a tag of this name and one of these values.
#[derive(Clone, Debug, InputObject)]
pub(in crate::gateway) struct TagFilter {
    /// Name of the tag, exactly.
    pub(super) name: String,
    /// Values of the tag, exactly; one of them is enough.
    pub(super) values: Vec<String>,
    /// Whether such a tag must be there (EQ, the default) or must not (NEQ).
    pub(super) op: Option<TagOperator>,
}

/// How a tag filter is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(in crate::gateway) enum TagOperator {
    /// Such a tag is there.
    Eq,
    /// No such tag is there.
    Neq,
}

/// Heights, both included.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub(in crate::gateway) struct BlockFilter {
    /// The lowest.
    pub(super) min: Option<i64>,
    /// The highest.
    pub(super) max: Option<i64>,
}

/// The order of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(in crate::gateway) enum SortOrder {
    /// The oldest first.
    HeightAsc,
    /// The newest first.
    HeightDesc,
}
