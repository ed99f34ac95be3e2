//! Whether nodes that were read from bytes make a tree that this module could have grown.

use super::Flavor;
use super::limits::{SAFE_INTEGER, WEAVE_CACHE};
use super::tree::{Body, FD_MOUNT, FD_ROOT, Ino, Node, ROOT, S_IFMT, Tree};
use std::collections::{BTreeMap, BTreeSet};

type Bad = &'static str;

/// Refuses what could not have come to be, or would not be found again.
pub(super) fn check_tree(tree: &Tree, flavor: Flavor) -> Result<(), Bad> {
    if flavor == Flavor::Fmt1 {
        let empty = tree.nodes.is_empty() && tree.last == 0;
        return if empty { Ok(()) } else { Err("files in a format that has none") };
    }
    let root = tree.nodes.get(&ROOT).ok_or("no root")?;
    if !matches!(root.body, Body::Dir(_)) || root.parent != ROOT || root.name != "/" {
        return Err("the root is no root");
    }
    for (ino, node) in &tree.nodes {
        check_node(tree, *ino, node)?;
    }
    let named = tree.nodes.values().filter(|node| !node.name.is_empty()).count();
    if reachable(tree) != named {
        return Err("a file that no path leads to");
    }
    Ok(())
}

fn check_node(tree: &Tree, ino: Ino, node: &Node) -> Result<(), Bad> {
    if node.mode & S_IFMT != node.body.kind() || node.mode & !(S_IFMT | 0o7777) != 0 {
        return Err("a mode of another kind");
    }
    if (ino == FD_ROOT) != (node.body == Body::FdRoot) {
        return Err("descriptors' names at a wrong place");
    }
    match node.name.is_empty() {
        true => check_nameless(tree, ino, node)?,
        false if ino != ROOT => check_named(tree, node)?,
        false => {}
    }
    match &node.body {
        Body::Dir(names) => check_dir(tree, ino, names),
        Body::Remote(remote) => {
            let fits = remote.cache.len() as u64 <= WEAVE_CACHE;
            let sized = remote.size <= SAFE_INTEGER as u64;
            if fits && sized { Ok(()) } else { Err("a data item out of bounds") }
        }
        _ => Ok(()),
    }
}

/// A node without a name is kept by descriptors, or as what is mounted.
fn check_nameless(tree: &Tree, ino: Ino, node: &Node) -> Result<(), Bad> {
    let mounted = ino == FD_ROOT && tree.nodes.contains_key(&FD_MOUNT);
    if (node.opens == 0 && !mounted) || node.parent != ROOT || ino == FD_MOUNT || ino == ROOT {
        return Err("a file that nothing leads to");
    }
    match &node.body {
        Body::Dir(names) if !names.is_empty() => Err("a removed directory that is not empty"),
        _ => Ok(()),
    }
}

fn check_named(tree: &Tree, node: &Node) -> Result<(), Bad> {
    if node.name.contains(['/', '\0']) || node.parent == FD_MOUNT {
        return Err("a name that cannot be");
    }
    match tree.nodes.get(&node.parent).map(|parent| &parent.body) {
        Some(Body::Dir(_)) => Ok(()),
        _ => Err("a file outside of directories"),
    }
}

fn check_dir(tree: &Tree, ino: Ino, names: &BTreeSet<String>) -> Result<(), Bad> {
    if ino == FD_MOUNT && (!names.is_empty() || !tree.nodes.contains_key(&FD_ROOT)) {
        return Err("a mount that is none");
    }
    let absent = |name: &String| ino == ROOT && name == "/" || tree.find(ino, name).is_none();
    if names.iter().any(absent) { Err("a name without a file") } else { Ok(()) }
}

/// How many named nodes a walk from the root finds.
fn reachable(tree: &Tree) -> usize {
    let mut below: BTreeMap<Ino, Vec<Ino>> = BTreeMap::new();
    for ((dir, _), stack) in &tree.names {
        below.entry(*dir).or_default().extend(stack.iter().filter(|ino| **ino != ROOT));
    }
    let (mut seen, mut next) = (BTreeSet::from([ROOT]), vec![ROOT]);
    while let Some(ino) = next.pop() {
        let fresh = below.remove(&ino).unwrap_or_default();
        next.extend(fresh.into_iter().filter(|ino| seen.insert(*ino)));
    }
    seen.len()
}
