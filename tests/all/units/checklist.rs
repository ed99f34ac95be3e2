//! The table of `conformance/checklist.md` is whole, and what it names is there.

use std::{collections::BTreeMap, fs, path::Path};

/// Rows of the table: what holds each.
fn rows() -> BTreeMap<u32, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("conformance/checklist.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.parse().ok()?;
        let named = cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((number, named))
    };
    table.lines().filter_map(row).collect()
}

#[test]
fn every_row_is_held_by_something_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = rows();
    assert!(rows.keys().copied().eq(1..=78), "{:?}", rows.keys());
    for (number, named) in rows {
        assert!(!named.is_empty(), "row {number} names nothing");
        for name in named {
            let (path, function) = name.split_once("::").unwrap_or((&name, ""));
            let text = fs::read_to_string(root.join(path));
            let text = text.unwrap_or_else(|error| panic!("row {number}: {path}: {error}"));
            let test = format!("fn {function}()");
            assert!(
                function.is_empty() || text.contains(&test),
                "row {number}: no {test} in {path}"
            );
        }
    }
}
