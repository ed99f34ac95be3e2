//! `drivebay certify --against`: a unit that was tampered with is found out, at the slot.

use crate::{
    kit::{Bench, number, text},
    up::{Ao, bench},
};
use drivebay::{
    cu::{Change, FjallStore, Pair, Scan, Store, Table},
    disk::{Digest, json::Value},
};

/// A unit that has evaluated a process, and that process.
struct Unit {
    bench: Bench,
    process: String,
}

impl Unit {
    /// Slots 0 to 2 with an image after them, then 3 to 5 with another.
    fn new() -> Self {
        let bench = bench();
        let ao = Ao::up(&bench, &[]);
        let (gateway, module) = (ao.text("/gateway"), ao.text("/modules/counter"));
        let spawned = bench.drivebay(&["spawn", &module, "--gateway", &gateway]).expect(0, "");
        let process = spawned.out.lines().last().unwrap().trim().to_owned();
        let unit = Self { bench, process };
        unit.send(&ao, 2);
        assert_eq!(ao.end(), Some(0));
        let ao = Ao::up(&unit.bench, &[]);
        unit.send(&ao, 3);
        assert_eq!(ao.end(), Some(0));
        unit
    }

    fn send(&self, ao: &Ao, count: usize) {
        let gateway = ao.text("/gateway");
        for _ in 0..count {
            let line = ["message", &self.process, "--gateway", &gateway, "--wait"];
            self.bench.drivebay(&line).expect(0, "");
        }
    }

    fn store(&self) -> FjallStore {
        FjallStore::open(&self.bench.path(".drivebay/units/cu")).unwrap()
    }

    /// What is stored of a slot.
    fn stored(&self, table: Table, nonce: u64) -> Pair {
        let all = self.store().scan(&Scan::prefix(table, &[])).unwrap();
        let end = [&nonce.to_be_bytes()[..], &[0; 4]].concat();
        all.into_iter().find(|(key, _)| key.ends_with(&end)).unwrap()
    }

    fn put(&self, table: Table, key: &[u8], value: Vec<u8>) {
        let store = self.store();
        store.write(vec![Change::Put(table, key.to_vec(), value)]).unwrap();
        store.persist().unwrap();
    }

    /// What is said of the unit as it stands.
    fn certified(&self, code: i32) -> Value {
        let ao = Ao::up(&self.bench, &[]);
        let gateway = ao.text("/gateway");
        let line = ["certify", "--against", &gateway, "--process", &self.process, "--json"];
        let said = self.bench.drivebay(&line).expect(code, "").lines().remove(0);
        assert_eq!(ao.end(), Some(0));
        said
    }
}

/// `bytes` with every `from` in it, of which there is one at least, as `to`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (mut out, mut met, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            out.extend(to);
            (met, at) = (met + 1, at + from.len());
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    assert!(met > 0);
    out
}

/// The JSON that a stored result holds.
fn json_of(stored: &[u8]) -> Vec<u8> {
    let start = stored.windows(2).position(|pair| pair == b"{\"").unwrap();
    let end = stored.iter().rposition(|byte| *byte == b'}').unwrap();
    stored[start..=end].to_vec()
}

#[test]
fn an_altered_receipt_and_an_altered_image_are_named_by_slot() {
    let unit = Unit::new();
    let sound = unit.certified(0);
    assert_eq!(sound.get("Equal").and_then(Value::as_bool), Some(true), "{sound:?}");
    for what in ["Results", "Receipts", "States"] {
        assert_eq!(number(&sound, what), 6, "{what}");
    }

    // Another answer at slot 3, and a receipt that fits it.
    let (key, value) = unit.stored(Table::Receipts, 3);
    let json = json_of(&value);
    let other = replaced(&json, b"000004", b"000007");
    let altered = replaced(&value, &json, &other);
    let altered = replaced(&altered, &Digest::of(&json).0, &Digest::of(&other).0);
    unit.put(Table::Receipts, &key, altered);
    let found = unit.certified(1);
    let found = found.get("Divergence").unwrap();
    assert_eq!(number(found, "Slot"), 3);
    assert!(text(found, "Seen").contains("000007"), "{found:?}");
    let file = text(found, "File");
    let again = unit.bench.drivebay(&["replay", file]).expect(1, "");
    assert!(again.out.contains("000004") && again.out.contains("as recorded"), "{}", again.out);
    assert!(again.out.contains("the other unit says") && again.out.contains("000007"));
    // The same answer with another cost is no less a divergence.
    let fuel = value.windows(8).position(|bytes| bytes == fuel_of(&unit, file)).unwrap();
    let mut dear = value.clone();
    dear[fuel] ^= 1;
    unit.put(Table::Receipts, &key, dear);
    let found = unit.certified(1);
    let found = found.get("Divergence").unwrap();
    assert_eq!(number(found, "Slot"), 3);
    assert!(text(found, "Seen").contains("receipts are not"), "{found:?}");
    unit.put(Table::Receipts, &key, value);

    // The image after slot 2 is the one after slot 5. No receipt shows it.
    let (_, last) = unit.stored(Table::Checkpoints, 5);
    let (key, mut value) = unit.stored(Table::Checkpoints, 2);
    let sound = value.clone();
    let (there, here) = (value.len() - 64, last.len() - 64);
    value[there..].copy_from_slice(&last[here..]);
    unit.put(Table::Checkpoints, &key, value);
    let found = unit.certified(1);
    let found = found.get("Divergence").unwrap();
    assert_eq!(number(found, "Slot"), 2);
    assert!(text(found, "Seen").contains("root"), "{found:?}");
    unit.bench.drivebay(&["replay", text(found, "File")]).expect(1, "");
    unit.put(Table::Checkpoints, &key, sound);
    unit.certified(0);
}

/// The cost that a finding's line tells, as it is stored.
fn fuel_of(unit: &Unit, file: &str) -> [u8; 8] {
    let said = unit.bench.drivebay(&["replay", file, "--json"]).expect(1, "").lines();
    let line = text(&said[0], "Line").to_owned();
    let fuel = line.split(' ').skip_while(|word| *word != "fuel").nth(1).unwrap();
    fuel.parse::<u64>().unwrap().to_le_bytes()
}

#[test]
fn what_cannot_be_certified_is_said() {
    let bench = Bench::new();
    let line = ["certify", "--against", "http://127.0.0.1:9", "--process", "x"];
    bench.drivebay(&line).expect(3, "cannot be reached");
    bench.drivebay(&["certify", "--process", "x"]).expect(2, "--against");
    bench.drivebay(&["replay", "nothing.json"]).expect(2, "nothing.json");
    bench.write("log.json", "{}");
    bench.drivebay(&["replay", "log.json"]).expect(2, "no env and messages");
    bench.write("bent.json", r#"{"Drivebay-Replay":"1"}"#);
    bench.drivebay(&["replay", "bent.json"]).expect(2, "it has no");
}
