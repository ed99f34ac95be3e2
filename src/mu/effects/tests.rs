#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;

fn sender() -> Sender {
    Sender {
        process: Id([1; 32]),
        module: Id([2; 32]).to_string(),
        scheduler: Id([3; 32]).to_string(),
        chain: Some(Id([4; 32])),
        origin: "result".to_owned(),
    }
}

fn of(result: &str) -> Vec<(String, Effect)> {
    effects(&Value::parse(result).unwrap(), &sender())
}

fn names(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(|tag| tag.name.as_str()).collect()
}

const ANCHOR: &str = "00000000000000000000000000000042";

/// §5.3 of the wire: what is taken out, what is put in, and in which order.
#[test]
fn a_message_gets_the_tags_of_the_reference_in_their_order() {
    let target = Id([5; 32]);
    let found = of(&format!(
        r#"{{"Messages":[{{"Target":"{target}","Anchor":"{ANCHOR}","Data":"hi","Tags":[
            {{"name":"Data-Protocol","value":"x"}},{{"name":"Variant","value":"ao.TN.1"}},
            {{"name":"Type","value":"y"}},{{"name":"Reference","value":"7"}},
            {{"name":"From-Process","value":"liar"}},{{"name":"From-Module","value":"liar"}},
            {{"name":"Action","value":"Ping"}}]}}]}}"#
    ));
    let Effect::Push { target: to, draft, also } = &found[0].1 else { panic!("{found:?}") };
    assert_eq!((to, draft.target, also.len()), (&target, Some(target), 0));
    assert_eq!(draft.anchor.unwrap().as_slice(), ANCHOR.as_bytes());
    assert_eq!(draft.data, "hi");
    let expected = [
        "Variant",
        "Reference",
        "Action",
        "Data-Protocol",
        "Type",
        "From-Process",
        "From-Module",
        "Pushed-For",
    ];
    assert_eq!(names(&draft.tags), expected);
    assert_eq!(draft.tags[5].value, sender().process.to_string());
}

#[test]
fn equal_messages_without_a_reference_are_made_two() {
    let message = format!(r#"{{"Target":"{}","Anchor":"{ANCHOR}","Tags":[]}}"#, Id([5; 32]));
    let found = of(&format!(r#"{{"Messages":[{message},{message}]}}"#));
    let references: Vec<_> = found
        .iter()
        .map(|(_, effect)| match effect {
            Effect::Push { draft, .. } => draft.tags[0].clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(references[0].name, "Reference");
    assert_ne!(references[0], references[1]);
    assert_eq!(found, of(&format!(r#"{{"Messages":[{message},{message}]}}"#)));
}

#[test]
fn what_cannot_be_sent_is_skipped_with_a_reason_and_the_rest_goes_on() {
    let good = format!(r#"{{"Target":"{}","Anchor":"{ANCHOR}","Tags":[]}}"#, Id([5; 32]));
    let found = of(&format!(
        r#"{{"Messages":[{{"Tags":[],"Anchor":"{ANCHOR}"}},{{"Tags":[],"Target":"{id}"}},
            {{"Tags":[],"Target":"0xabc","Anchor":"{ANCHOR}"}},{{"Tags":[],"Target":"{id}","Anchor":"1"}},
            {{"Tags":[5],"Target":"{id}","Anchor":"{ANCHOR}"}},null,{good}],
            "Spawns":[{{"Tags":[]}}],"Assignments":[{{"Message":"x"}}]}}"#,
        id = Id([5; 32])
    ));
    let skipped = found.iter().filter(|(_, effect)| matches!(effect, Effect::Skip { .. })).count();
    assert_eq!((found.len(), skipped), (9, 8), "{found:?}");
    assert!(matches!(found[6].1, Effect::Push { .. }));
}

#[test]
fn a_spawn_becomes_a_process_and_a_notice_to_its_maker() {
    let found = of(r#"{"Spawns":[{"Data":"code","Tags":[{"name":"Module","value":"m"},
        {"name":"Variant","value":"ao.TN.1"},{"name":"Reference","value":"3"},
        {"name":"From-Process","value":"me"},{"name":"From-Module","value":"?"}]}]}"#);
    let Effect::Spawn { scheduler, draft, notice: said } = &found[0].1 else { panic!("{found:?}") };
    assert_eq!(scheduler, &Id([3; 32]));
    let expected = [
        "Module",
        "Variant",
        "Reference",
        "From-Process",
        "From-Module",
        "Variant",
        "Data-Protocol",
        "Type",
        "From-Process",
        "Pushed-For",
        "Scheduler",
    ];
    assert_eq!(names(&draft.tags), expected);
    assert_eq!(draft.tags[4].value, sender().module);
    let told = notice(sender().process, said.clone(), Id([9; 32]));
    let expected = [
        "Module",
        "Reference",
        "From-Process",
        "From-Module",
        "Data-Protocol",
        "Type",
        "Process",
        "Action",
        "Variant",
    ];
    assert_eq!(names(&told.tags), expected);
    assert_eq!(told.target, Some(sender().process));
}

#[test]
fn assignments_name_processes_and_what_is_left_out() {
    let (one, two) = (Id([6; 32]), Id([7; 32]));
    let found = of(&format!(
        r#"{{"Assignments":[{{"Processes":["{one}","{two}"],"Message":"{one}",
            "BaseLayer":true,"Exclude":["Data","Tags"]}}]}}"#
    ));
    let query = "&base-layer&exclude=Data%2CTags".to_owned();
    let expected = |process, name: &str| {
        (name.to_owned(), Effect::Assign { process, item: one, query: query.clone() })
    };
    assert_eq!(found, [expected(one, "a0.0"), expected(two, "a0.1")]);
}

#[test]
fn a_message_may_be_shown_to_others() {
    let other = Id([8; 32]);
    for list in [format!("[\\\"{other}\\\"]"), format!("x, {other}")] {
        let found = of(&format!(
            r#"{{"Messages":[{{"Target":"{other}","Anchor":"{ANCHOR}","Tags":[
                {{"name":"Assignments","value":"{list}"}}]}}]}}"#
        ));
        let Effect::Push { also, draft, .. } = &found[0].1 else { panic!("{found:?}") };
        assert_eq!(also, &[other]);
        assert!(!names(&draft.tags).contains(&"Assignments"));
    }
}
