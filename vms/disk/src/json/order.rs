//! The order in which JavaScript keeps the keys of an object.

use super::{text::Text, value::Value};
use std::mem;

/// Up to this many keys are compared each with each; more are sorted, so that no text costs a square.
const FEW: usize = 16;

/// Brings every object in a value to the form that JavaScript gives it.
pub(super) fn settle_all(value: &mut Value) {
    let mut todo = vec![value];
    while let Some(value) = todo.pop() {
        match value {
            Value::Array(values) => todo.extend(values),
            Value::Object(pairs) => {
                settle(pairs);
                todo.extend(pairs.iter_mut().map(|(_, value)| value));
            }
            _ => {}
        }
    }
}

/// Keeps each key once, with its last value in its first place; then array indexes go first, ascending.
pub(super) fn settle(pairs: &mut Vec<(Text, Value)>) {
    if has_twice(pairs) {
        merge(pairs);
    }
    if pairs.iter().any(|(key, _)| key.array_index().is_some()) {
        // A stable sort: the others keep their order behind all indexes.
        pairs.sort_by_key(|(key, _)| key.array_index().map_or(u64::MAX, u64::from));
    }
}

fn has_twice(pairs: &[(Text, Value)]) -> bool {
    if pairs.len() <= FEW {
        let mut rest = pairs;
        while let [(key, _), tail @ ..] = rest {
            if tail.iter().any(|(other, _)| other == key) {
                return true;
            }
            rest = tail;
        }
        return false;
    }
    let mut keys: Vec<&Text> = pairs.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    !keys.is_sorted_by(|a, b| a < b)
}

fn merge(pairs: &mut Vec<(Text, Value)>) {
    let mut numbered: Vec<(usize, Text, Value)> = mem::take(pairs)
        .into_iter()
        .enumerate()
        .map(|(at, (key, value))| (at, key, value))
        .collect();
    numbered.sort_by(|a, b| a.1.cmp(&b.1));
    // Equal keys now stand together in the order of the text: the first gives the place, the last the value.
    numbered.dedup_by(|later, first| {
        let same = later.1 == first.1;
        if same {
            first.2 = mem::take(&mut later.2);
        }
        same
    });
    numbered.sort_by_key(|(at, ..)| *at);
    pairs.extend(numbered.into_iter().map(|(_, key, value)| (key, value)));
}
