//! The texts that the reference's loader was given, for pairs of the same content.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

const PID: &str = "FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY";
const OWNER: &str = "L5hXzWiRkqlzVLodwBHKym2DYBUQFXeyi-XJBiG3t6k";
const MU: &str = "HsyjCpakCK--yHtGwGWXzxNO1wJ98_FplojjIBypLEE";

fn pair(message: &str, message_id: &str, nonce: u64, chain: &str, more: &str) -> Pair {
    let named = if message_id == PID {
        String::new()
    } else {
        format!(r#"{{"name":"Message","value":"{message_id}"}},"#)
    };
    let time = 1_700_000_000_500 + 3000 * nonce;
    Pair::parse(&format!(
        r#"{{"message":{message},"assignment":{{"id":"assigned","owner":{{"address":"su","key":"k"}},
        "signature":"s","anchor":null,"target":"","tags":[{{"name":"Process","value":"{PID}"}},
        {{"name":"Epoch","value":"0"}},{{"name":"Nonce","value":"{nonce}"}},
        {{"name":"Hash-Chain","value":"{chain}"}},{{"name":"Block-Height","value":"000001500000"}},
        {{"name":"Timestamp","value":"{time}"}},{named}{more}
        {{"name":"Data-Protocol","value":"ao"}}]}}}}"#
    ))
    .unwrap()
}

fn item(id: &str, owner: &str, data: &str, anchor: &str, tags: &str) -> String {
    format!(
        r#"{{"id":"{id}","owner":{{"address":"{owner}","key":"AAAA"}},"data":{data},"tags":{tags},
        "signature":"sig","anchor":{anchor},"target":"{PID}"}}"#
    )
}

#[test]
fn a_user_message_is_shown_as_the_reference_shows_it() {
    let id = "CeLJ6vRRTNoh0Pj3shlawMyNadzK_25M2qpBUU-5V1s";
    let tags = r#"[{"name":"function","value":"world"},{"name":"From","value":"x"},{"name":"Dup","value":"1"},{"name":"Dup","value":"2"},{"name":"Owner","value":"x"},{"name":"owner","value":"y"}]"#;
    let anchor = r#""00000000000000000000000000000001""#;
    let pair = pair(&item(id, OWNER, r#""hi""#, anchor, tags), id, 1, "chain", "");
    let shown = format!(
        r#"{{"Id":"{id}","Signature":"sig","Data":"hi","Owner":"{OWNER}","Target":"{PID}","Anchor":"00000000000000000000000000000001","From":"{OWNER}","Tags":[{{"name":"function","value":"world"}},{{"name":"Dup","value":"1"}},{{"name":"Dup","value":"2"}},{{"name":"owner","value":"y"}}],"Epoch":0,"Nonce":1,"Timestamp":1700000003500,"Block-Height":1500000,"Hash-Chain":"chain","Cron":false,"Read-Only":false}}"#
    );
    assert_eq!(pair.fields().unwrap().json().as_str(), shown);
    assert!(!pair.is_process());
}

#[test]
fn a_process_is_its_own_message() {
    let process =
        item(PID, OWNER, r#""boot data""#, "null", r#"[{"name":"Type","value":"Process"}]"#);
    let process = process.replace(&format!(r#""target":"{PID}""#), r#""target":null"#);
    let pair = pair(&process, PID, 0, "7G7SWISgqBuA4Ge94jFbw9cJk0cyIXt_yG0SaIsFtec", "");
    let shown = format!(
        r#"{{"Id":"{PID}","Signature":"sig","Data":"boot data","Owner":"{OWNER}","Target":"{PID}","Anchor":null,"From":"{OWNER}","Tags":[{{"name":"Type","value":"Process"}}],"Epoch":0,"Nonce":0,"Timestamp":1700000000500,"Block-Height":1500000,"Hash-Chain":"7G7SWISgqBuA4Ge94jFbw9cJk0cyIXt_yG0SaIsFtec","Cron":false,"Read-Only":false}}"#
    );
    assert_eq!(pair.fields().unwrap().json().as_str(), shown);
    assert!(pair.is_process());
}

#[test]
fn a_pushed_message_speaks_for_its_process() {
    let tags = r#"[{"name":"From-Process","value":""},{"name":"From-Process","value":"S"}]"#;
    let fields = pair(&item("m", MU, r#"" ""#, "null", tags), "m", 2, "c", "").fields().unwrap();
    let text = |key| fields.text(key).unwrap();
    assert_eq!(
        (text("From"), text("Forwarded-By"), text("Owner")),
        ("S".into(), MU.into(), MU.into())
    );
    assert_eq!(fields.tags().len(), 2);
}

#[test]
fn of_a_transaction_what_is_excluded_is_absent_and_the_rest_is_the_gateways() {
    let one = r#"{"name":"Exclude","value":"Data"},"#;
    let two = r#"{"name":"Exclude","value":"Data"},{"name":"Exclude","value":"Tags"},"#;
    let node = r#"{"id":"tx","anchor":"MDAw","signature":"sig","recipient":"","owner":{"address":"a","key":"k"},"tags":[{"name":"x","value":"y"}]}"#;
    let transaction = Item::read(Value::parse(node).unwrap()).unwrap();
    let json = |exclude| {
        let pair = pair("null", "tx", 4, "c", exclude);
        assert!(pair.fields().is_none());
        pair.fields_of_transaction(&transaction).json().to_string()
    };
    let start =
        r#"{"Id":"tx","Signature":"sig","Owner":"a","Target":"","Anchor":"MDAw","From":"a","#;
    assert!(
        json(one).starts_with(&format!(r#"{start}"Tags":[{{"name":"x","value":"y"}}],"Epoch":0"#))
    );
    assert!(json(two).starts_with(&format!(r#"{start}"Epoch":0"#)), "{}", json(two));
}

#[test]
fn an_ethereum_key_is_named_by_its_checksummed_address() {
    // The generator of secp256k1: the public key of the private key 1.
    let key =
        "BHm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeYSDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg";
    assert_eq!(super::super::owner("sha", key), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    assert_eq!(super::super::owner("sha", "AAAA"), "sha");
}

#[test]
fn what_is_no_page_is_named() {
    let say = |text| Page::parse(text).unwrap_err().to_string();
    assert!(say("<html>").starts_with("not JSON"));
    assert_eq!(say("{}"), "page_info is not a page's");
    let page = r#"{"page_info":{"has_next_page":false},"edges":[{"cursor":"1","node":{"message":null,"assignment":{"id":"a","tags":[{"name":"Process","value":"p"}]}}}]}"#;
    assert_eq!(say(page), "tag Nonce of assignment a is not a number");
    let process = r#"{"process_id":"p","block":"000001500000","owner":{"address":"a","key":"k"},"tags":[],"timestamp":7,"data":null,"anchor":null,"signature":"s","target":null}"#;
    let spawned = Spawned::parse(process).unwrap();
    assert_eq!((spawned.block_height, spawned.timestamp_ms), (1_500_000, 7));
    assert_eq!(spawned.item.id, "p");
}

/// Bits turned, pieces cut out and doubled, by a seed.
struct Bender(u64);

impl Bender {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    fn bend(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let (at, to) = (self.below(bytes.len()), self.below(bytes.len()));
            let (at, to) = (at.min(to), at.max(to));
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(7),
                1 => bytes.truncate(to),
                2 => drop(bytes.drain(at..to.min(at + 40))),
                3 => {
                    let piece = bytes[at..to.min(at + 40)].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let pieces =
                        ["null", "[", "{", "\"\\ud800\"", "-1", "1e999", "99999999999999999999"];
                    bytes.splice(at..at, pieces[self.below(pieces.len())].bytes());
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Whatever a scheduler, a node or a client sends, it is read or refused.
#[test]
fn bent_texts_are_read_or_refused() {
    use crate::wire::{Cursor, Sort, aos2, dry_fields};
    let node = r#"{"message":{"Id":"m","Owner":"o","Tags":[{"name":"Type","value":"Message"}],"Target":"p","Data":"x","Signature":"s","Anchor":""},"assignment":{"Id":"a","Owner":"su","Tags":[{"name":"Process","value":"p"},{"name":"Slot","value":3},{"name":"Epoch","value":"0"}]}}"#;
    let pair = r#"{"message":{"id":"m","owner":{"address":"a","key":"AAAA"},"data":"hi","tags":[{"name":"A","value":"b"}],"signature":"s","anchor":null,"target":"p"},"assignment":{"id":"i","tags":[{"name":"Process","value":"p"},{"name":"Nonce","value":"1"},{"name":"Timestamp","value":"2"},{"name":"Block-Height","value":"000000000003"},{"name":"Message","value":"m"}]}}"#;
    let page = |edge: &str| {
        format!(
            r#"{{"page_info":{{"has_next_page":false}},"edges":[{{"cursor":"1","node":{edge}}}]}}"#
        )
    };
    let (whole, theirs) = (page(pair), page(node));
    assert_eq!(Page::parse(&whole).unwrap().edges.len(), 1);
    assert_eq!(aos2::page(&theirs).unwrap().edges[0].0.assignment.nonce, 3);
    let cursor = Cursor { timestamp_ms: 7, ordinate: Some(1), cron: Some("0-1-second".into()) };
    let cursor = cursor.text(Sort::Asc);
    let dry = r#"{"Id":"1","Owner":"o","Tags":[{"name":"a","value":"b"}],"Timestamp":"42","Data":{"a":1}}"#;
    let long = std::env::var_os("DRIVEBAY_LONG").is_some();
    let (mut bender, mut refused) = (Bender(7), 0);
    for _ in 0..if long { 10_000 } else { 1000 } {
        let read = Page::parse(&bender.bend(&whole));
        // What is read can be shown to a module.
        let pairs = read.iter().flat_map(|page| &page.edges);
        pairs.for_each(|(pair, _)| drop(pair.fields().map(|fields| fields.json())));
        refused += usize::from(read.is_err());
        refused += usize::from(Pair::parse(&bender.bend(pair)).is_err());
        refused += usize::from(Spawned::parse(&bender.bend(pair)).is_err());
        refused += usize::from(aos2::page(&bender.bend(&theirs)).is_err());
        refused += usize::from(Cursor::parse(&bender.bend(&cursor)).is_none());
        if let Ok(body) = Value::parse(&bender.bend(dry)) {
            refused += usize::from(dry_fields(body, "p").is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}
