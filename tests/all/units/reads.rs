//! What a compute unit answers beside results: crons, dry-runs, memories, refusals. Rows 46 to 57.

use super::{kit::wallet, whole::*};
use axum::{
    body::{Body, Bytes},
    http::Request,
};
use drivebay::{
    cu::{AskedMax, CuOptions},
    disk::json::Value,
    item::Id,
};
use tower::ServiceExt;

/// The fixture that was recorded: crons of ten seconds and of two blocks, a block every seven seconds.
async fn cron_process(ao: &Whole) -> Id {
    ao.spawn(&[
        ("Cron-Interval", "10-seconds"),
        ("Cron-Tag-function", "hello"),
        ("Cron-Tag-Action", "Tick"),
        ("Cron-Interval", "2-blocks"),
        ("Cron-Tag-function", "world"),
    ])
    .await
}

/// Milliseconds and blocks since the start, ordinate and cron of each edge of a page.
fn ticks(page: &Value) -> Vec<(u64, u64, String, String)> {
    let edges = at(page, "edges").into_array().unwrap();
    let tick = |edge: &Value| {
        let cursor = data_encoding::BASE64.decode(text(edge, "cursor").as_bytes()).unwrap();
        let cursor = Value::parse(std::str::from_utf8(&cursor).unwrap()).unwrap();
        let height = at(edge, "node.Output.msg.Block-Height").as_u64().unwrap();
        let time = at(&cursor, "timestamp").as_u64().unwrap();
        assert_eq!(at(edge, "node.Output.msg.Timestamp").as_u64(), Some(time));
        (time - BORN_MS, height - HEIGHT, text(&cursor, "ordinate"), text(&cursor, "cron"))
    };
    edges.iter().map(tick).collect()
}

fn tick(ms: u64, height: u64, ordinate: &str, cron: &str) -> (u64, u64, String, String) {
    (ms, height, ordinate.to_owned(), cron.to_owned())
}

/// Rows 46, 47, 48, 49.
#[tokio::test]
async fn crons_tick_between_messages_as_recorded() {
    let ao = Whole::new().await;
    let pid = cron_process(&ao).await;
    ao.pass(24_000).await;
    let message = ao.send(&wallet(3), pid, &[], "hi").await;
    // The messages' own ticks, and none after it.
    let done = ao.result(pid, message).await.ok().json();
    assert_eq!(text(&done, "Output.count"), "000005");
    let before = [
        tick(10_000, 1, "0", "0-10-seconds"),
        tick(13_500, 2, "0", "0-2-blocks"),
        tick(20_000, 2, "0", "0-10-seconds"),
    ];
    let listed = ao.get(&format!("/results/{pid}?limit=100")).await.ok().json();
    assert_eq!(at(&listed, "edges").as_array().unwrap().len(), 5);

    ao.pass(21_000).await;
    let two = ao.get(&format!("/cron/{pid}?limit=2")).await.ok().json();
    assert_eq!(ticks(&two), before[..2]);
    assert_eq!(at(&two, "pageInfo.hasNextPage").as_bool(), Some(true));
    let evaluated = ao.cu.progress(&pid.to_string()).unwrap().evaluated;
    let all = ao.get(&format!("/cron/{pid}")).await.ok();
    let after = [
        tick(27_500, 4, "1", "0-2-blocks"),
        tick(30_000, 4, "1", "0-10-seconds"),
        tick(40_000, 5, "1", "0-10-seconds"),
    ];
    assert_eq!(ticks(&all.json()), [&before[..], &after[..]].concat());
    assert_eq!(ao.get(&format!("/cron/{pid}")).await.ok().text(), all.text());
    assert_eq!(ao.cu.progress(&pid.to_string()).unwrap().evaluated, evaluated);
    let cursor = text(&all.json(), "edges.3.cursor").replace('=', "%3D").replace('+', "%2B");
    let rest = ao.get(&format!("/cron/{pid}?from={cursor}")).await.ok().json();
    assert_eq!(ticks(&rest), after[1..]);

    let shown = at(&all.json(), "edges.0.node.Output.msg");
    let expected =
        ["Owner", "Target", "From", "Tags", "Timestamp", "Block-Height", "Cron", "Read-Only"];
    assert_eq!(keys(&shown), expected);
    let owner = wallet(3).ao_address();
    assert_eq!((text(&shown, "Owner"), text(&shown, "From")), (owner.clone(), owner));
    assert_eq!(at(&shown, "Cron").as_bool(), Some(true));
    assert_eq!(text(&shown, "Tags.0.value"), "hello");
}

/// Rows 50, 51, 52, 53.
#[tokio::test]
async fn a_dry_run_leaves_no_mark_and_each_process_answers_its_own() {
    let ao = Whole::new().await;
    let one = ao.spawn(&[("Name", "one")]).await;
    ao.pass(1000).await;
    let other = ao.spawn(&[("Name", "other")]).await;
    ao.send(&wallet(3), one, &[], "hi").await;
    let body = |target: &str| {
        format!(
            r#"{{"Id":"1234",{target}"Owner":"1234","Anchor":"0","Data":"1234","Tags":[{{"name":"Type","value":"Message"}}]}}"#
        )
    };
    let path = format!("/dry-run?process-id={one}");
    let named = body(&format!(r#""Target":"{one}","#));
    for _ in 0..2 {
        let done = ao.post(&path, &named).await.ok();
        assert_eq!(done.header("slot"), "1");
        let output = at(&done.json(), "Output");
        assert_eq!(text(&output, "count"), "000003");
        let msg = at(&output, "msg");
        let expected = [
            "Id",
            "Data",
            "Owner",
            "Target",
            "Anchor",
            "From",
            "Tags",
            "Timestamp",
            "Block-Height",
            "Cron",
            "Read-Only",
        ];
        assert_eq!(keys(&msg), expected);
        assert_eq!(at(&msg, "Timestamp").as_u64(), Some(BORN_MS + 1000));
        assert_eq!(at(&msg, "Read-Only").as_bool(), Some(true));
        assert_eq!((text(&msg, "From"), text(&msg, "Target")), ("1234".into(), one.to_string()));
    }
    let placed = r#"{"Owner":"o","From":"x","Timestamp":"42","Tags":[]}"#;
    let msg = at(&ao.post(&path, placed).await.ok().json(), "Output.msg");
    assert_eq!((text(&msg, "From"), at(&msg, "Timestamp").as_u64()), ("o".into(), Some(42)));

    let bad = ao.post(&path, "{").await;
    assert_eq!((bad.status, bad.error().as_str()), (400, "Bad Request"));
    let body_of = Bytes::from("{}");
    let plain = call(&ao.cu_router, "POST", &path, "text/plain", body_of).await;
    assert_eq!(plain.status, 415);
    assert_eq!(text(&plain.json(), "code"), "FST_ERR_CTP_INVALID_MEDIA_TYPE");

    // The same body, without a target.
    for (process, name, times) in [(one, "one", "000003"), (other, "other", "000002")] {
        let path = format!("/dry-run?process-id={process}");
        let output = at(&ao.post(&path, &body("")).await.ok().json(), "Output");
        assert_eq!(text(&output, "count"), times);
        assert_eq!(text(&output, "env.Process.Tags.5.value"), name);
    }
}

/// Row 54.
#[tokio::test]
async fn a_module_that_nobody_reads_or_that_asks_too_much_is_refused() {
    let asked_max = AskedMax { memory_bytes: 512 << 20, compute: 1_000_000_000 };
    let options = CuOptions { asked_max, ..options() };
    let ao = Whole::with(|units| std::sync::Arc::new(units), options).await;
    let of = async |format: &str, tags: &[(&str, &str)], process: &[(&str, &str)]| {
        let module = module(format, tags, echo());
        ao.gateway.put_item(module.clone()).await.unwrap();
        let pid = ao.spawn_of(module.id(), process).await;
        ao.result(pid, pid).await
    };
    let unknown = of("wasm32-unknown-9", &[], &[]).await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.error().contains("wasm32-unknown-9"), "{}", unknown.text());
    let format = "wasm32-drivebay-1";
    assert_eq!(of(format, &[("Memory-Limit", "64-mb")], &[]).await.status, 200);
    for (module, process, what) in [
        (&[("Memory-Limit", "1-gb")][..], &[][..], "Memory-Limit"),
        (&[], &[("Memory-Limit", "513-mb")], "Memory-Limit"),
        (&[("Compute-Limit", "1000000001")], &[], "Compute-Limit"),
    ] {
        let refused = of(format, module, process).await;
        assert_eq!(refused.status, 413, "{}", refused.text());
        assert!(refused.error().contains(what), "{}", refused.text());
    }
}

/// Rows 56, 57.
#[tokio::test]
async fn a_memory_is_its_bytes_and_who_may_ask_is_anyone() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    ao.pass(1000).await;
    let message = ao.send(&wallet(3), pid, &[], "hi").await;
    let memory = ao.get(&format!("/state/{pid}")).await.ok();
    assert_eq!(memory.header("content-type"), "application/octet-stream");
    assert_eq!(memory.body.len(), 64 << 16);
    assert_eq!(memory.body[..4], 2_u32.to_le_bytes());
    assert_eq!(memory.header("last-timestamp"), (BORN_MS + 1000).to_string());
    assert_eq!(memory.header("last-ordinate"), "1");
    assert_eq!(memory.header("last-block-height"), HEIGHT.to_string());
    let before = ao.get(&format!("/state/{pid}?to={pid}")).await.ok();
    assert_eq!((before.header("last-ordinate").as_str(), before.body[0]), ("0", 1));
    assert_eq!(ao.get(&format!("/state/{pid}?to={message}")).await.ok().body, memory.body);

    assert_eq!(text(&ao.get("/status").await.ok().json(), "unit"), "cu");
    let asked = Request::builder().method("OPTIONS").uri(format!("/result/{pid}"));
    let asked = asked
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    let allowed = ao.cu_router.clone().oneshot(asked).await.unwrap();
    assert_eq!(allowed.status().as_u16(), 204);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
}
