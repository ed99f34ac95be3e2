//! What a compute unit answers for messages: rows 29 to 45 of the checklist.

use super::{kit::wallet, whole::*};
use axum::body::Bytes;
use drivebay::{
    disk::json::Value,
    item::{Draft, Tag},
    net::{InProcess, Request, Response, Transport, TransportError},
};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Instant};

fn count(answer: &Answer) -> String {
    text(&answer.json(), "Output.count")
}

/// Row 29.
#[tokio::test]
async fn it_says_who_it_is_and_the_time_as_a_number() {
    let ao = Whole::new().await;
    let who = ao.get("/").await.ok().json();
    assert_eq!(keys(&who), ["address", "timestamp"]);
    assert_eq!(text(&who, "address"), wallet(4).address().to_string());
    assert_eq!(at(&who, "timestamp").as_u64(), Some(BORN_MS));
}

/// Rows 30, 36, 39.
#[tokio::test]
async fn results_are_found_by_message_by_assignment_and_by_process() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let message = ao.send(&wallet(3), pid, &[("Action", "Go")], "hi").await;
    let first = ao.result(pid, pid).await.ok();
    assert_eq!(count(&first), "000001");
    let shape = ["Messages", "Assignments", "Spawns", "Output", "GasUsed"];
    assert_eq!(keys(&first.json()), shape);
    let second = ao.result(pid, message).await.ok();
    assert_eq!(count(&second), "000002");
    let pair = call(&ao.su_router, "GET", &format!("/{message}"), "", Bytes::new()).await.json();
    let by_assignment = ao.result(pid, text(&pair, "assignment.id")).await.ok();
    assert_eq!(by_assignment.text(), second.text());
    // Asked again, it is the first answer.
    assert_eq!(ao.result(pid, pid).await.text(), first.text());

    let started = Instant::now();
    let unknown = ao.result(pid, "x".repeat(43)).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.error().contains("is not known to the scheduler"), "{}", unknown.text());
    let nowhere = ao.get(&format!("/result/{message}?process-id={}", "x".repeat(43))).await;
    assert_eq!(nowhere.status, 404, "{}", nowhere.text());
    assert!(started.elapsed().as_millis() < 1000);
}

/// Rows 31, 32, 34.
#[tokio::test]
async fn a_module_is_shown_the_message_as_the_reference_shows_it() {
    let ao = Whole::new().await;
    let named = [("From", "tag from"), ("Owner", "tag owner"), ("Twice", "1"), ("Twice", "2")];
    let pid = ao.spawn(&named).await;
    ao.pass(1000).await;
    let message = ao.send(&wallet(3), pid, &named, "hi").await;
    let owner = wallet(3).ao_address();

    let shown = ao.result(pid, message).await.ok().json();
    let shown = at(&shown, "Output");
    let msg = at(&shown, "msg");
    let expected = [
        "Id",
        "Signature",
        "Data",
        "Owner",
        "Target",
        "Anchor",
        "From",
        "Tags",
        "Epoch",
        "Nonce",
        "Timestamp",
        "Block-Height",
        "Hash-Chain",
        "Cron",
        "Read-Only",
    ];
    assert_eq!(keys(&msg), expected);
    assert_eq!(text(&msg, "Id"), message.to_string());
    assert_eq!(text(&msg, "Data"), "hi");
    assert_eq!(text(&msg, "Target"), pid.to_string());
    assert_eq!(text(&msg, "Anchor"), "00000000000000000000000000000042");
    assert_eq!((text(&msg, "From"), text(&msg, "Owner")), (owner.clone(), owner.clone()));
    for (key, number) in
        [("Epoch", 0), ("Nonce", 1), ("Timestamp", BORN_MS + 1000), ("Block-Height", HEIGHT)]
    {
        assert_eq!(at(&msg, key).as_u64(), Some(number), "{key}");
    }
    assert_eq!(
        (at(&msg, "Cron").as_bool(), at(&msg, "Read-Only").as_bool()),
        (Some(false), Some(false))
    );
    let names = |tags: &Value| -> Vec<String> {
        tags.as_array().unwrap().iter().map(|tag| text(tag, "name")).collect()
    };
    // Neither speaks of its sender; what stands twice stays twice.
    let told = names(&at(&msg, "Tags"));
    assert_eq!(told, ["Data-Protocol", "Variant", "Type", "Twice", "Twice"]);
    assert_eq!(keys(&at(&shown, "env")), ["Process", "Module"]);
    assert_eq!(keys(&at(&shown, "env.Process")), ["Id", "Owner", "Tags"]);
    let process = names(&at(&shown, "env.Process.Tags"));
    assert_eq!(process[5..], ["From", "Owner", "Twice", "Twice"]);
    assert_eq!(text(&shown, "env.Process.Owner"), owner);
    assert_eq!(text(&shown, "env.Module.Id"), ao.module.to_string());

    let born = ao.result(pid, pid).await.ok().json();
    let born = at(&born, "Output.msg");
    assert_eq!((text(&born, "Id"), text(&born, "Target")), (pid.to_string(), pid.to_string()));
    assert_eq!(at(&born, "Nonce").as_u64(), Some(0));
    assert!(at(&born, "Anchor").is_null());
    assert!(!names(&at(&born, "Tags")).contains(&"From".to_owned()));
}

/// Row 33.
#[tokio::test]
async fn a_pushed_message_is_from_the_process_that_sent_it() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let pushed = ao.send(&wallet(2), pid, &[("From-Process", "sender")], "hi").await;
    let msg = at(&ao.result(pid, pushed).await.ok().json(), "Output.msg");
    let messenger = wallet(2).ao_address();
    assert_eq!(text(&msg, "From"), "sender");
    assert_eq!((text(&msg, "Owner"), text(&msg, "Forwarded-By")), (messenger.clone(), messenger));
    assert_eq!(keys(&msg)[6..9], ["From", "Forwarded-By", "Tags"]);
}

/// Row 35.
#[tokio::test]
async fn what_is_assigned_is_shown_as_the_gateway_has_it() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let (anchor, whom) = (*b"00000000000000000000000000000007", wallet(6).address());
    let draft = |target| Draft {
        anchor: Some(anchor),
        ..Draft::new(target, vec![Tag::new("Some", "thing")], "its data")
    };
    let sent = wallet(7).sign(&draft(Some(whom))).unwrap();
    let plain = wallet(7).sign(&draft(None)).unwrap();
    for item in [&sent, &plain] {
        ao.gateway.put_item(item.clone()).await.unwrap();
    }
    let assign = async |id: String, exclude: &str| {
        let path = format!("/?process-id={pid}&assign={id}{exclude}");
        let placed = call(&ao.su_router, "POST", &path, "", Bytes::new()).await.ok().json();
        at(&ao.result(pid, text(&placed, "id")).await.ok().json(), "Output.msg")
    };
    let whole = assign(sent.id().to_string(), "").await;
    assert_eq!(text(&whole, "Id"), sent.id().to_string());
    assert_eq!(text(&whole, "Target"), whom.to_string());
    assert_eq!(text(&whole, "Anchor"), data_encoding::BASE64URL_NOPAD.encode(&anchor));
    assert_eq!(text(&whole, "Data"), "its data");
    assert_eq!(text(&whole, "From"), wallet(7).ao_address());
    assert_eq!(at(&whole, "Nonce").as_u64(), Some(1));
    let one = assign(plain.id().to_string(), "&exclude=Data").await;
    assert_eq!(text(&one, "Target"), "");
    assert!(one.get("Data").is_none() && one.get("Tags").is_some());
    let third = wallet(7).sign(&Draft { anchor: Some([9; 32]), ..draft(None) }).unwrap();
    ao.gateway.put_item(third.clone()).await.unwrap();
    let two = assign(third.id().to_string(), "&exclude=Data,Tags").await;
    assert!(two.get("Data").is_none() && two.get("Tags").is_none());
    assert_eq!(text(&two, "Id"), third.id().to_string());
}

/// Rows 37, 38, 43.
#[tokio::test]
async fn an_error_is_a_result_and_leaves_no_mark() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let bad = ao.send(&wallet(3), pid, &[], "sorry").await;
    let good = ao.send(&wallet(3), pid, &[("Sent", "2")], "fine").await;
    let failed = ao.result(pid, bad).await.ok().json();
    assert_eq!(text(&failed, "Error"), "I am sorry");
    for empty in ["Messages", "Assignments", "Spawns"] {
        assert_eq!(at(&failed, empty).as_array().unwrap().len(), 0);
    }
    assert_eq!(text(&failed, "Output"), "");
    assert_eq!(count(&ao.result(pid, good).await.ok()), "000002");
    let listed = ao.get(&format!("/results/{pid}")).await.ok().json();
    assert_eq!(at(&listed, "edges").as_array().unwrap().len(), 2);

    let missing = ao.get(&format!("/result/{bad}")).await;
    assert_eq!((missing.status, missing.error()), (500, "'processId': Required.".to_owned()));
}

/// Rows 40, 41, 42, 44, 45.
#[tokio::test]
async fn results_are_listed_as_they_were_evaluated() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let mut last = pid;
    for n in 1..=30 {
        ao.pass(10).await;
        last = ao.send(&wallet(3), pid, &[("Sent", &n.to_string())], "hi").await;
    }
    let page = async |query: &str| ao.get(&format!("/results/{pid}{query}")).await.ok().json();
    let counts = |page: &Value| -> Vec<String> {
        let edges = at(page, "edges").into_array().unwrap();
        edges.iter().map(|edge| text(edge, "node.Output.count")).collect()
    };
    let more = |page: &Value| at(page, "pageInfo.hasNextPage").as_bool().unwrap();
    let none = page("").await;
    assert_eq!(keys(&none), ["pageInfo", "edges"]);
    assert!(counts(&none).is_empty() && !more(&none));
    assert_eq!(count(&ao.result(pid, last).await.ok()), "000031");

    let first = page("").await;
    assert_eq!((counts(&first).len(), more(&first)), (25, true));
    assert_eq!(counts(&first)[..2], ["000001", "000002"]);
    let newest = page("?sort=DESC&limit=1").await;
    assert_eq!((counts(&newest), more(&newest)), (vec!["000031".to_owned()], true));

    let cursor = text(&first, "edges.24.cursor");
    let said = data_encoding::BASE64.decode(cursor.as_bytes()).unwrap();
    let time = BORN_MS + 240;
    let expected = format!(r#"{{"timestamp":{time},"ordinate":"24","sort":"ASC"}}"#);
    assert_eq!(String::from_utf8(said).unwrap(), expected);
    let cursor = cursor.replace('+', "%2B").replace('=', "%3D");
    let rest = page(&format!("?from={cursor}")).await;
    assert_eq!((counts(&rest).len(), counts(&rest)[0].as_str(), more(&rest)), (6, "000026", false));
    assert_eq!(counts(&page(&format!("?from={time}")).await), counts(&rest));
    assert_eq!(counts(&page(&format!("?to={time}")).await).len(), 25);
    // Cursors of a list that was sorted otherwise are taken too.
    let newest = text(&newest, "edges.0.cursor").replace('=', "%3D");
    assert!(counts(&page(&format!("?from={newest}&sort=ASC")).await).is_empty());

    let bad = ao.get(&format!("/results/{pid}?sort=UP")).await;
    let said = "'sort': Invalid enum value. Expected 'ASC' | 'DESC', received 'UP'.";
    assert_eq!((bad.status, bad.error()), (500, said.to_owned()));
}

/// A scheduler whose words are changed on their way.
struct Bent {
    units: InProcess,
    from: &'static str,
    to: &'static str,
    at: &'static str,
}

impl Transport for Bent {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let is_schedule = request.url.starts_with("http://su/");
            let mut response = self.units.call(request).await?;
            let body = String::from_utf8_lossy(&response.body).into_owned();
            if is_schedule && body.contains(self.at) {
                response.body = body.replace(self.from, self.to).into();
            }
            Ok(response)
        })
    }
}

/// Row 55.
#[tokio::test]
async fn a_broken_chain_is_refused_by_name_and_what_is_before_it_is_served() {
    let bent = |units| {
        // A time that the scheduler did not sign would be taken; a nonce that does not follow is not.
        Arc::new(Bent {
            units,
            from: "Hash-Chain\",\"value\":\"",
            to: "Hash-Chain\",\"value\":\"A",
            at: "bend here",
        }) as Arc<dyn Transport>
    };
    let ao = Whole::with(bent, options()).await;
    let pid = ao.spawn(&[]).await;
    let good = ao.send(&wallet(3), pid, &[("Sent", "1")], "fine").await;
    assert_eq!(count(&ao.result(pid, good).await.ok()), "000002");
    let bad = ao.send(&wallet(3), pid, &[("Sent", "2")], "bend here").await;
    let refused = ao.result(pid, bad).await;
    let said = format!("HashChain invalid on message {bad}");
    assert_eq!((refused.status, refused.error()), (422, said));
    assert_eq!(count(&ao.result(pid, good).await.ok()), "000002");
}
