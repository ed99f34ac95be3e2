//! What npm `arbundles` 0.11.1 made and said.

use crate::item::{
    Bundle, DataItem, Id, Tag, ao_address, first_link, next_link, tags, write_bundle,
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../testdata/ans104-vectors.json")).unwrap()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn of_kind(kind: &str) -> Value {
    vectors().into_iter().find(|vector| vector["kind"] == kind).unwrap()
}

fn items() -> Vec<(Value, DataItem)> {
    let items = vectors().into_iter().filter(|vector| vector["rawBase64"].is_string());
    let parse = |vector: Value| {
        let raw = BASE64.decode(text(&vector, "rawBase64").as_bytes()).unwrap();
        (vector, DataItem::parse(raw).unwrap())
    };
    items.map(parse).collect()
}

#[test]
fn every_field_is_as_recorded() {
    assert_eq!(items().len(), 10, "two of each of five signature types");
    for (vector, item) in items() {
        let name = format!("{}, {}", vector["kind"], vector["case"]);
        assert_eq!(item.id().to_string(), text(&vector, "id"), "{name}");
        assert_eq!(u64::from(item.scheme().number()), vector["signatureType"], "{name}");
        assert_eq!(item.signature().len() as u64, vector["signatureLength"], "{name}");
        assert_eq!(item.owner().len() as u64, vector["ownerLength"], "{name}");
        let address = item.owner_address().to_string();
        assert_eq!(address, text(&vector, "ownerAddressSha256"), "{name}");
        let target = item.target().map(|id| id.to_string()).unwrap_or_default();
        assert_eq!(target, text(&vector, "target"), "{name}");
        let anchor = item.anchor().map(|anchor| HEXLOWER.encode(anchor)).unwrap_or_default();
        assert_eq!(anchor, text(&vector, "anchorHex"), "{name}");
        let recorded = vector["tags"].as_array().unwrap().iter();
        let recorded: Vec<Tag> =
            recorded.map(|tag| Tag::new(text(tag, "name"), text(tag, "value"))).collect();
        assert_eq!(item.tags(), recorded, "{name}");
        assert_eq!(HEXLOWER.encode(&tags::encode(&recorded)), text(&vector, "tagBytesHex"));
        assert_eq!(HEXLOWER.encode(&item.deep_hash()), text(&vector, "deepHashHex"), "{name}");
    }
}

#[test]
fn every_signature_holds_and_with_one_bit_turned_does_not() {
    for (vector, item) in items() {
        assert_eq!(item.verify(), Ok(()), "{vector}");
        let raw = item.bytes();
        // Everything that is signed or signs: the first and last byte of each field, and some between.
        for at in (2..raw.len()).filter(|at| at % 97 == 2 || at + 3 > raw.len()) {
            let mut bent = raw.to_vec();
            bent[at] ^= 1;
            let verdict = DataItem::parse(bent).and_then(|item| item.verify());
            assert!(verdict.is_err(), "byte {at} of {}", vector["kind"]);
        }
    }
}

#[test]
fn a_process_meets_ethereum_keys_by_their_own_address() {
    let (vector, item) = items().into_iter().find(|(_, item)| item.owner().len() == 65).unwrap();
    let address = item.ao_address();
    // The address that EIP-712 vectors of the same key carry in lower case.
    let typed = items().into_iter().find(|(_, item)| item.owner().len() == 42).unwrap().1;
    let lower = std::str::from_utf8(typed.owner()).unwrap();
    assert_eq!(address.to_lowercase(), lower, "{vector}");
    assert_eq!(ao_address(item.owner()), address);
    let rsa = items().into_iter().find(|(_, item)| item.owner().len() == 512).unwrap().1;
    assert_eq!(rsa.ao_address(), rsa.owner_address().to_string());
}

#[test]
fn a_bundle_is_read_and_written_to_the_byte() {
    let vector = of_kind("bundle");
    let raw = BASE64.decode(text(&vector, "base64").as_bytes()).unwrap();
    let bundle = Bundle::parse(raw.clone()).unwrap();
    let ids: Vec<String> = bundle.items().iter().map(|item| item.id().to_string()).collect();
    assert_eq!(serde_json::json!(ids), vector["ids"]);
    assert!(bundle.items().iter().all(|item| item.verify().is_ok()));
    assert_eq!(write_bundle(bundle.items()), raw);
}

#[test]
fn the_hash_chain_is_the_networks() {
    let vector = of_kind("hash-chain");
    let id = |key| text(&vector, key).parse::<Id>().unwrap();
    let first = first_link(&id("processId"));
    assert_eq!(first, id("first"));
    assert_eq!(next_link(&id("previousAssignmentId"), &first), id("next"));
}
