#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::json_key;
use proptest::{collection::vec, prelude::*};

/// Characters that stand for themselves but for `%xx`.
fn decode(line: &str) -> String {
    let mut parts = line.split('%');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        out.push_str(&part[2..]);
    }
    out
}

#[test]
fn what_javascript_answers() {
    let mut cases = 0;
    for line in include_str!("cases.txt").lines().filter(|line| !line.starts_with('#')) {
        let (text, answer) = line.split_once('\t').unwrap();
        let (text, answer) = (decode(text), decode(answer));
        let got = Json::parse(&text);
        if answer == "!" {
            assert!(got.is_err(), "{line}: {got:?}");
        } else {
            let got = got.unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(got.as_str(), answer, "{line}");
            assert_eq!(Json::parse(&answer).unwrap(), got, "written twice: {line}");
        }
        cases += 1;
    }
    assert!(cases > 500, "{cases} cases");
}

#[test]
fn errors_say_where_and_what() {
    let check = |text: &str, error: &str| {
        assert_eq!(Json::parse(text).unwrap_err().to_string(), error, "{text}");
    };
    check("", "unexpected end at byte 0, expected a value");
    check("[1", "unexpected end at byte 2, expected `,` or `]`");
    check("[1 2]", "expected `,` or `]` at byte 3");
    check("[1,]", "expected a value at byte 3");
    check("{\"é\" 1}", "expected `:` at byte 6");
    check("{\"a\":1,}", "expected a key at byte 7");
    check("{1", "expected a key or `}` at byte 1");
    check("{", "unexpected end at byte 1, expected a key or `}`");
    check("-", "unexpected end at byte 1, expected a digit");
    check("1.x", "expected a digit at byte 2");
    check("nul", "unexpected end at byte 3, expected null");
    check("\"a", "unexpected end at byte 2, expected `\"`");
    check("\"\\q\"", "expected an escape at byte 2");
    check("\"\\u12x4\"", "expected a hexadecimal digit at byte 5");
    check("\"\n\"", "expected no bare control character in a string at byte 1");
    check("1 2", "expected the end at byte 2");
}

#[test]
fn depth_is_bounded() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(Json::parse(&nest(MAX_DEPTH)).unwrap().as_str(), nest(MAX_DEPTH));
    let too_deep = JsonError::TooDeep { at: MAX_DEPTH };
    assert_eq!(Json::parse(&nest(MAX_DEPTH + 1)).unwrap_err(), too_deep);
    assert_eq!(Json::parse(&nest(100_000)).unwrap_err(), too_deep);
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(Json::parse(&objects).unwrap_err(), JsonError::TooDeep { at: 5 * MAX_DEPTH });
    assert!(Json::parse(&"[]".repeat(2).replace("][", "],[")).is_err());
    let wide = format!("[{}[]]", "[],".repeat(100_000));
    assert_eq!(Json::parse(&wide).unwrap().as_str(), wide, "width is not depth");
}

#[test]
fn no_operation_recurses() {
    let run = || {
        let mut value = Value::Null;
        for level in 0..200_000 {
            value = match level % 2 {
                0 => Value::Array(vec![Value::Null, value]),
                _ => Value::object([("b", value), ("1", Value::Null)]),
            };
        }
        let copy = value.clone();
        assert!(copy == value);
        let text = format!("{value:?}");
        let json = Json::from(value);
        assert_eq!(json.as_str().len(), text.len());
        assert!(json.value() != copy, "keys were put in order");
        assert_eq!(Json::from(copy), json);
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn values_from_outside_are_brought_to_form() {
    let value = Value::object([
        ("z", Value::from(1.0)),
        ("2", Value::from(-0.0)),
        ("z", Value::Array(vec![Value::object([("1", Value::Null), ("0", true.into())])])),
        ("0", Value::from(f64::NAN)),
    ]);
    assert_eq!(Json::from(value).as_str(), r#"{"0":null,"2":0,"z":[{"0":true,"1":null}]}"#);
    assert_eq!(Json::from(Value::from("\u{1}é")).as_str(), r#""\u0001é""#);
    assert_eq!(Json::default(), Json::from(Value::Null));
    assert_eq!(Json::default().as_str(), "null");
}

#[test]
fn many_repeated_keys_cost_no_square() {
    let keys: Vec<String> = (0..200_000).map(|i| format!("\"k{}\":{i}", i % 100_000)).collect();
    let value = Value::parse(&format!("{{{}}}", keys.join(","))).unwrap();
    let pairs = value.as_object().unwrap();
    assert_eq!(pairs.len(), 100_000);
    assert_eq!((pairs[5].0.as_str(), pairs[5].1.as_f64()), (Some("k5"), Some(100_005.0)));
}

#[test]
fn what_a_value_is_asked() {
    let value = Value::parse(r#"{"s":"x","n":1.5,"u":7,"b":true,"z":null,"a":[0],"l":"\ud800"}"#);
    let mut value = value.unwrap();
    assert_eq!(value.get("s").and_then(Value::as_str), Some("x"));
    assert_eq!(value.get("n").and_then(Value::as_f64), Some(1.5));
    assert_eq!(value.get("n").and_then(Value::as_u64), None);
    assert_eq!(value.get("u").and_then(Value::as_u64), Some(7));
    assert_eq!(value.get("b").and_then(Value::as_bool), Some(true));
    assert!(value.get("z").unwrap().is_null());
    assert_eq!(value.get("a").and_then(Value::as_array).map(<[_]>::len), Some(1));
    assert!(value.get("none").is_none() && Value::Null.get("s").is_none());
    let lone = value.get("l").and_then(Value::as_text).unwrap();
    assert_eq!((lone.as_str(), &*lone.to_string_lossy()), (None, "\u{fffd}"));
    assert_eq!(value.take("s").and_then(Value::into_text), Some(Text::from("x")));
    assert!(value.get("s").unwrap().is_null());
    assert_eq!(value.take("a").and_then(Value::into_array).map(|a| a.len()), Some(1));
    assert_eq!(value.into_object().map(|pairs| pairs.len()), Some(7));
}

#[test]
fn what_javascript_takes_as_true() {
    for text in ["null", "false", "0", "-0", "\"\""] {
        assert!(!Value::parse(text).unwrap().truthy(), "{text}");
    }
    for text in ["true", "1", "-1", "1e999", "\"0\"", "\"\\ud800\"", "[]", "{}"] {
        assert!(Value::parse(text).unwrap().truthy(), "{text}");
    }
    assert!(!Value::from(f64::NAN).truthy());
}

#[test]
fn one_text_has_one_form() {
    assert_eq!(Text::from_utf16(&[0xd83d, 0xde00]), Text::from("😀"));
    let lone = Text::from_utf16(&[0x61, 0xd800]);
    assert_eq!(Value::parse("\"a\\uD800\"").unwrap(), Value::from(lone.clone()));
    assert_eq!(format!("{lone:?}"), "\"a\\ud800\"");
    assert_ne!(lone, Text::from_utf16(&[0x61, 0xd801]));
    assert!(!lone.is_empty() && Text::from_utf16(&[]).is_empty());
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => any::<String>().prop_map(Text::from),
        2 => "[0-9]{1,3}|[a-c]".prop_map(Text::from),
        1 => vec(prop_oneof![0xd7f0_u16..0xe010, any::<u16>()], 0..6).prop_map(|u| Text::from_utf16(&u)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has finite numbers only", |n| n.is_finite())
            .prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n))),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text(), inner), 0..20).prop_map(Value::object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in value()) {
        let mut settled = value.clone();
        order::settle_all(&mut settled);
        let json = Json::from(value);
        prop_assert_eq!(&json.value(), &settled);
        prop_assert_eq!(&Json::parse(json.as_str()).unwrap(), &json);
        prop_assert_eq!(Json::from(settled), json);
    }

    #[test]
    fn settling_is_what_an_object_would_do(keys in vec("[0-3]{1,2}|[a-c]", 0..40)) {
        // The definition, slowly: insert one by one, then indexes first.
        let mut slow: Vec<(String, usize)> = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            match slow.iter_mut().find(|(name, _)| name == key) {
                Some(pair) => pair.1 = at,
                None => slow.push((key.clone(), at)),
            }
        }
        let index = |key: &str| key.parse::<u32>().ok().filter(|n| n.to_string() == key);
        slow.sort_by_key(|(key, _)| index(key).map_or(u64::MAX, u64::from));
        let text: Vec<String> =
            keys.iter().enumerate().map(|(at, key)| format!("\"{key}\":{at}")).collect();
        let fast = Value::parse(&format!("{{{}}}", text.join(","))).unwrap();
        let slow = Value::object(slow.into_iter().map(|(key, at)| (key, Value::from(at as f64))));
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Json::parse(&text);
    }

    #[test]
    fn no_bent_text_panics(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Json::from(value).as_str().as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bent = String::from_utf8_lossy(&bytes);
        if let Ok(json) = Json::parse(&bent) {
            prop_assert_eq!(&Json::parse(json.as_str()).unwrap(), &json);
        }
        for end in 0..bent.len() {
            if let Some(Err(error)) = bent.get(..end).map(Json::parse) {
                let at = match error {
                    JsonError::Syntax { at, .. } | JsonError::End { at, .. } | JsonError::TooDeep { at } => at,
                };
                prop_assert!(at <= end);
            }
        }
    }

    #[test]
    fn what_is_written_piece_by_piece_is_what_a_tree_writes(
        texts in prop::collection::vec(any::<String>(), 0..4),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        tree in value(),
    ) {
        let mut writer = Writer::over("from before".into());
        writer.object(|out| {
            out.key(json_key!("texts")).array(|out| {
                for text in &texts {
                    out.text(text);
                }
            });
            out.key(json_key!("bytes")).hex(&bytes).key(json_key!("tree")).value(tree.clone());
            out.key(json_key!("none")).object(|_| {});
        });
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let texts: Vec<Value> = texts.iter().map(|text| Value::from(text.as_str())).collect();
        let none: [(&str, Value); 0] = [];
        let whole = Value::object([
            ("texts", Value::from(texts)),
            ("bytes", Value::from(format!("0x{digits}"))),
            ("tree", tree),
            ("none", Value::object(none)),
        ]);
        let (written, built) = (writer.finish().0, Json::from(whole));
        prop_assert_eq!(written.as_str(), built.as_str());
    }
}
