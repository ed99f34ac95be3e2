//! Taking values apart and putting them together step by step, with the stack on the heap.

use super::{
    text::Text,
    value::{Value, leaf_eq},
};
use std::{mem, slice};

/// A step of a walk through a value. Containers say how many elements they have.
#[derive(Clone, Copy)]
pub(super) enum Event<'a> {
    Leaf(&'a Value),
    OpenArray(usize),
    OpenObject(usize),
    Key(&'a Text),
    Close,
}

impl PartialEq for Event<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Event::Leaf(a), Event::Leaf(b)) => leaf_eq(a, b),
            (Event::OpenArray(a), Event::OpenArray(b)) => a == b,
            (Event::OpenObject(a), Event::OpenObject(b)) => a == b,
            (Event::Key(a), Event::Key(b)) => a == b,
            (Event::Close, Event::Close) => true,
            _ => false,
        }
    }
}

/// Walks a value depth first, in order.
pub(super) struct Walk<'a> {
    next: Option<&'a Value>,
    open: Vec<Open<'a>>,
}

enum Open<'a> {
    Array(slice::Iter<'a, Value>),
    Object(slice::Iter<'a, (Text, Value)>),
}

impl<'a> Walk<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self { next: Some(value), open: Vec::new() }
    }

    fn enter(&mut self, value: &'a Value) -> Event<'a> {
        match value {
            Value::Array(values) => {
                self.open.push(Open::Array(values.iter()));
                Event::OpenArray(values.len())
            }
            Value::Object(pairs) => {
                self.open.push(Open::Object(pairs.iter()));
                Event::OpenObject(pairs.len())
            }
            leaf => Event::Leaf(leaf),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(value) = self.next.take() {
            return Some(self.enter(value));
        }
        match self.open.last_mut()? {
            Open::Array(values) => {
                if let Some(value) = values.next() {
                    return Some(self.enter(value));
                }
            }
            Open::Object(pairs) => {
                if let Some((key, value)) = pairs.next() {
                    self.next = Some(value);
                    return Some(Event::Key(key));
                }
            }
        }
        self.open.pop();
        Some(Event::Close)
    }
}

/// Puts a value together from the steps of a walk.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Part>,
    done: Value,
}

enum Part {
    Array(Vec<Value>),
    // The key waits for its value.
    Object(Vec<(Text, Value)>, Text),
}

/// What kind of container is being filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Array,
    Object,
}

impl Builder {
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn inside(&self) -> Option<Inside> {
        self.open.last().map(|part| match part {
            Part::Array(_) => Inside::Array,
            Part::Object(..) => Inside::Object,
        })
    }

    pub(super) fn open_array(&mut self, capacity: usize) {
        self.open.push(Part::Array(Vec::with_capacity(capacity)));
    }

    pub(super) fn open_object(&mut self, capacity: usize) {
        self.open.push(Part::Object(Vec::with_capacity(capacity), Text::default()));
    }

    pub(super) fn key(&mut self, key: Text) {
        if let Some(Part::Object(_, waiting)) = self.open.last_mut() {
            *waiting = key;
        }
    }

    pub(super) fn leaf(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = value,
            Some(Part::Array(values)) => values.push(value),
            Some(Part::Object(pairs, key)) => pairs.push((mem::take(key), value)),
        }
    }

    pub(super) fn close(&mut self) {
        match self.open.pop() {
            Some(Part::Array(values)) => self.leaf(Value::Array(values)),
            Some(Part::Object(pairs, _)) => self.leaf(Value::Object(pairs)),
            None => {}
        }
    }

    /// Closes the object as JavaScript would have it: each key once, array indexes first.
    pub(super) fn close_object(&mut self) {
        if let Some(Part::Object(pairs, _)) = self.open.last_mut() {
            super::order::settle(pairs);
        }
        self.close();
    }

    pub(super) fn finish(mut self) -> Value {
        while !self.open.is_empty() {
            self.close();
        }
        mem::take(&mut self.done)
    }
}
