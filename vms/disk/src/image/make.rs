//! Makes the nodes of a table that are not made yet, side by side.
//!
//! A node is a hash of the hashes of those below, so a path is one hash after the other; but of several paths, and of
//! an account's path and of what is in its storage, those at one height need not wait for each other.

use super::{
    Table,
    merkle::{Merkle, descend},
    rlp::Ref,
    trie::{Entry, Kid, Seen, by_nibble, shared},
};

/// Trees that are gathered, so that it does not matter how many there are.
const TOGETHER: usize = if cfg!(test) { 20 } else { 2048 };

/// Nodes by their height above those that are made: each after all below it.
#[derive(Default)]
pub(super) struct Maker<'a> {
    by_height: Vec<Vec<Job<'a>>>,
    trees: usize,
    /// What is held of nodes within buckets, by those above them there.
    within: Vec<Ref>,
    nodes: Nodes,
}

/// A node to be made.
struct Job<'a> {
    merkle: Merkle,
    depth: usize,
    what: What<'a>,
    to: To<'a>,
}

enum What<'a> {
    Branch(&'a Kid),
    /// A bucket, or a part of it; and where those right below it are.
    Rows(&'a [Entry], usize),
}

/// Who is to have it.
#[derive(Clone, Copy)]
enum To<'a> {
    Kid(&'a Kid),
    Within(usize),
}

/// The RLP of nodes, one after the other.
#[derive(Default)]
struct Nodes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Nodes {
    /// What their parents hold of them. None is left.
    fn refs(&mut self) -> Vec<Ref> {
        let mut rest = self.bytes.as_slice();
        let mut start = 0;
        let node = |end: &usize| {
            let (node, after) = rest.split_at_checked(end - start)?;
            (rest, start) = (after, *end);
            Some(node)
        };
        let nodes: Vec<&[u8]> = self.ends.iter().filter_map(node).collect();
        let refs = Ref::all(&nodes);
        self.bytes.clear();
        self.ends.clear();
        refs
    }
}

impl<'a> Maker<'a> {
    /// Makes all of a tree, whose rows share their first `depth` nibbles.
    pub(super) fn make(merkle: Merkle, top: &'a Kid, depth: usize) {
        let mut maker = Self::default();
        maker.visit(merkle, top, depth);
        maker.flush();
    }

    /// Gathers what is not made; says how high it is above what is.
    fn visit(&mut self, merkle: Merkle, kid: &'a Kid, depth: usize) -> usize {
        if kid.made.get().is_some() {
            return 0;
        }
        let height = match kid.node.seen() {
            Seen::Rows(rows) => {
                let tables = rows.iter().filter_map(|row| row.value.table());
                let below = tables.map(|table| self.visit_table(table)).max().unwrap_or_default();
                self.visit_rows((merkle, rows, depth), below, To::Kid(kid))
            }
            Seen::Branch(branch) => {
                let below = match branch.kids() {
                    [only] => {
                        let (end, to) = descend(only, depth + 1);
                        Some(self.visit(merkle, end, to))
                    }
                    kids => kids.iter().map(|kid| self.visit(merkle, kid, depth + 1)).max(),
                };
                let (what, to) = (What::Branch(kid), To::Kid(kid));
                self.push(below.unwrap_or_default(), Job { merkle, depth, what, to })
            }
        };
        self.trees += 1;
        if self.trees >= TOGETHER {
            self.flush();
        }
        height
    }

    fn visit_table(&mut self, table: &'a Table) -> usize {
        table.top().map_or(0, |top| self.visit(Merkle::new(table.nests()), top, 0))
    }

    /// Gathers the nodes of rows that share their first `depth` nibbles, and whose tables are so high.
    fn visit_rows(
        &mut self,
        (merkle, rows, depth): (Merkle, &'a [Entry], usize),
        mut height: usize,
        to: To<'a>,
    ) -> usize {
        let first = self.within.len();
        let end = shared(rows, depth);
        if rows.len() > 1 && end > depth {
            self.within.push(Ref::default());
            height = self.visit_rows((merkle, rows, end), height, To::Within(first));
        } else if rows.len() > 1 {
            let groups = by_nibble(rows, depth);
            self.within.resize(first + groups.clone().count(), Ref::default());
            let groups = (first..).map(To::Within).zip(groups);
            let below = groups
                .map(|(to, (_, group))| self.visit_rows((merkle, group, depth + 1), height, to));
            height = below.max().unwrap_or(height);
        }
        self.push(height, Job { merkle, depth, what: What::Rows(rows, first), to })
    }

    fn push(&mut self, height: usize, job: Job<'a>) -> usize {
        while self.by_height.len() <= height {
            self.by_height.push(Vec::new());
        }
        if let Some(jobs) = self.by_height.get_mut(height) {
            jobs.push(job);
        }
        height + 1
    }

    /// Makes all that is gathered.
    fn flush(&mut self) {
        for jobs in &mut self.by_height {
            for job in &*jobs {
                job.write(&self.within, &mut self.nodes.bytes);
                self.nodes.ends.push(self.nodes.bytes.len());
            }
            for (job, made) in jobs.drain(..).zip(self.nodes.refs()) {
                match job.to {
                    // Another thread may have made it meanwhile: the same.
                    To::Kid(kid) => drop(kid.made.set(made)),
                    To::Within(at) => {
                        if let Some(within) = self.within.get_mut(at) {
                            *within = made;
                        }
                    }
                }
            }
        }
        self.within.clear();
        self.trees = 0;
    }
}

impl Job<'_> {
    /// Writes the node; those below it are made.
    fn write(&self, within: &[Ref], out: &mut Vec<u8>) {
        match self.what {
            What::Branch(kid) => self.merkle.write(kid, self.depth, out),
            What::Rows(rows, first) => {
                let mut below = within.iter().skip(first).copied();
                let next = |_: &[Entry], _| below.next().unwrap_or_default();
                self.merkle.rows(rows, self.depth, out, next);
            }
        }
    }
}
