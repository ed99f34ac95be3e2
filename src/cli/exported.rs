//! A schedule as its scheduler tells it, in a file: pages, or pairs of a message and its assignment.

use super::error::{refused, usage};
use crate::{
    cu::{Entry, schedule::Chain},
    disk::{Process, Refusal, RefusalCode, Slot, Tag, json::Value},
    wire::schedule::{Pair, first},
};

/// The process and its entries. `None` if the value is no such schedule.
pub(crate) fn read_exported(value: &mut Value) -> Option<anyhow::Result<(Process, Vec<Entry>)>> {
    let nodes = nodes(value)?;
    let pairs = nodes.into_iter().map(Pair::read).collect::<Result<Vec<_>, _>>();
    Some(match pairs {
        Ok(pairs) => entries(&pairs),
        Err(error) => Err(bad(format!("a place cannot be read: {error}"))),
    })
}

/// The places of a page, of a list of pages, or of a list of places.
fn nodes(value: &mut Value) -> Option<Vec<Value>> {
    if let Some(edges) = value.take("edges").and_then(Value::into_array) {
        return edges.into_iter().map(|mut edge| edge.take("node")).collect();
    }
    let list = value.as_array()?.to_vec();
    let mut all = Vec::new();
    for mut one in list {
        match nodes(&mut one) {
            Some(some) => all.extend(some),
            None => all.push(one.take("node").unwrap_or(one)),
        }
    }
    Some(all)
}

fn entries(pairs: &[Pair]) -> anyhow::Result<(Process, Vec<Entry>)> {
    let start = pairs.first().filter(|pair| pair.is_process());
    let Some((start, item)) = start.and_then(|pair| Some((pair, pair.message.as_ref()?))) else {
        return Err(usage(
            "the schedule does not begin with the process itself: ask its scheduler for it from the start",
        ));
    };
    let module = first(&item.tags, "Module").unwrap_or_default().to_owned();
    let process = Process {
        id: start.assignment.process.clone(),
        owner: item.owner.clone(),
        module,
        tags: item.tags.clone(),
    };
    let mut chain = Chain::start(start.assignment.block_height);
    let mut entries = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let assignment = &pair.assignment;
        chain.advance(assignment).map_err(|error| bad(error.to_string()))?;
        let fields = pair.fields().ok_or_else(|| {
            bad(format!(
                "slot {} is an assignment of {}, whose content no scheduler tells",
                assignment.nonce, assignment.message
            ))
        })?;
        let slot = Slot { epoch: assignment.epoch, nonce: assignment.nonce, tick: 0 };
        let mut entry = Entry::new(slot, &fields);
        entry.assignment.clone_from(&assignment.id);
        entries.push(entry);
    }
    if process.tags.iter().any(|tag: &Tag| tag.name == "Cron-Interval") {
        return Err(usage("the process has crons, whose blocks a scheduler does not tell"));
    }
    Ok((process, entries))
}

fn bad(why: String) -> anyhow::Error {
    refused(Refusal::new(RefusalCode::Malformed, why))
}
