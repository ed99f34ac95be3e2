//! GraphQL as aoconnect, scheduler-utils, the units, aos and HyperBEAM ask it.

use super::{BORN_MS, Bench, START, addressed, item, wallet};
use crate::item::{DataItem, Id, b64url};
use serde_json::{Value, json};

fn edges(answer: &Value) -> Vec<Value> {
    let edges = answer.pointer("/data/transactions/edges").and_then(Value::as_array);
    edges.unwrap_or_else(|| panic!("{answer}")).clone()
}

fn ids(answer: &Value) -> Vec<String> {
    edges(answer).iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
}

fn texts(items: &[&DataItem]) -> Vec<String> {
    items.iter().map(|item| item.id().to_string()).collect()
}

const MODULE: &[(&str, &str)] = &[("Data-Protocol", "ao"), ("Type", "Module")];

/// What aoconnect asks before a spawn.
#[tokio::test]
async fn a_module_by_its_id() {
    let bench = Bench::new().await;
    let module = item(&wallet(1), MODULE, 1);
    bench.put(&module).await;
    let query = "query GetTransactions ($transactionIds: [ID!]!) { transactions(ids: $transactionIds) { edges { node { owner { address } tags { name value } block { id height timestamp } } } } }";
    let answer = bench.query(query, json!({ "transactionIds": texts(&[&module]) })).await;
    let node = &edges(&answer)[0]["node"];
    assert_eq!(node["owner"]["address"], module.owner_address().to_string());
    assert_eq!(node["tags"][1], json!({ "name": "Type", "value": "Module" }));
    assert_eq!(node["block"]["height"], START);
    assert_eq!(node["block"]["timestamp"], BORN_MS / 1000);
    for unknown in ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "short", ""] {
        let answer = bench.query(query, json!({ "transactionIds": [unknown] })).await;
        assert_eq!(answer, json!({ "data": { "transactions": { "edges": [] } } }));
    }
}

/// What scheduler-utils asks, comment and line breaks included. Row 74: of two, the newest.
#[tokio::test]
async fn the_newest_scheduler_location_wins() {
    let bench = Bench::new().await;
    let wallet = wallet(1);
    let location = |url: &str, number| {
        let tags = [
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Scheduler-Location"),
            ("Url", url),
            ("Time-To-Live", "3600000"),
        ];
        item(&wallet, &tags, number)
    };
    let query = "query GetSchedulerLocation ($owner: String!) {\n transactions (\n owners: [$owner]\n tags: [\n { name: \"Data-Protocol\", values: [\"ao\"] },\n { name: \"Type\", values: [\"Scheduler-Location\"] }\n ]\n # Only need the most recent Scheduler-Location\n sort: HEIGHT_DESC\n first: 1\n ) { edges { node { tags { name value } } } } }";
    for (number, url) in ["http://one", "http://two"].into_iter().enumerate() {
        bench.put(&location(url, number as u8)).await;
        let answer = bench.query(query, json!({ "owner": wallet.address().to_string() })).await;
        let edges = edges(&answer);
        assert_eq!(edges.len(), 1);
        assert_eq!(edges[0]["node"]["tags"][3]["value"], url);
    }
}

/// What a CU asks of modules and assigned items, with fields left out by directive.
#[tokio::test]
async fn fields_are_skipped_where_it_says_so() {
    let bench = Bench::new().await;
    let sent = addressed(&wallet(1), Id([5; 32]), b"x".to_vec());
    let (anchored, plain) = (item(&wallet(1), MODULE, 7), sent);
    bench.put(&anchored).await;
    bench.put(&plain).await;
    let query = "query GetProcesses ( $processIds: [ID!]! $skipTags: Boolean! $skipSignature: Boolean! $skipAnchor: Boolean! ) { transactions(ids: $processIds) { edges { node { id signature @skip (if: $skipSignature) anchor @skip (if: $skipAnchor) owner { address key } tags @skip (if: $skipTags) { name value } recipient } } } }";
    let asked = |skip: bool, item: &DataItem| json!({ "processIds": texts(&[item]), "skipTags": skip, "skipSignature": skip, "skipAnchor": skip });
    let full = bench.query(query, asked(false, &anchored)).await;
    let node = &edges(&full)[0]["node"];
    assert_eq!(node["anchor"], b64url(&[7; 32]));
    assert_eq!(node["signature"], b64url(anchored.signature()));
    assert_eq!(node["owner"]["key"], b64url(anchored.owner()));
    assert_eq!(node["recipient"], "");
    let short = bench.query(query, asked(true, &plain)).await;
    let node = edges(&short)[0]["node"].clone();
    assert_eq!(node["recipient"], Id([5; 32]).to_string());
    assert!(node.get("tags").is_none() && node.get("anchor").is_none(), "{node}");
}

/// What a CU asks before it loads a state, and HyperBEAM for one location: a filter that is no list.
#[tokio::test]
async fn checkpoints_and_a_single_filter() {
    let bench = Bench::new().await;
    let tags = [("Data-Protocol", "ao"), ("Type", "Checkpoint"), ("Process", "p"), ("Nonce", "3")];
    let checkpoint = item(&wallet(1), &tags, 1);
    bench.put(&checkpoint).await;
    bench.put(&item(&wallet(2), &tags, 2)).await;
    let query = "query GetAoProcessCheckpoints( $owners: [String!]! $processId: String! $limit: Int! ) { transactions( tags: [ { name: \"Process\", values: [$processId] } { name: \"Type\", values: [\"Checkpoint\"] } { name: \"Data-Protocol\", values: [\"ao\"] } ], owners: $owners, first: $limit, sort: HEIGHT_DESC ) { edges { node { id owner { address } tags { name value } } } } }";
    let owners = [wallet(1).address().to_string()];
    let asked = json!({ "owners": owners, "processId": "p", "limit": 50 });
    assert_eq!(ids(&bench.query(query, asked).await), texts(&[&checkpoint]));
    let single = "query($a: String!) { transactions(owners: [$a], tags: {name: \"Type\" values: [\"Checkpoint\"]}, first: 1) { edges { node { id anchor signature recipient owner { key } fee { winston } quantity { winston } tags { name value } data { size } } } } }";
    let answer = bench.query(single, json!({ "a": owners[0] })).await;
    let node = &edges(&answer)[0]["node"];
    assert_eq!(node["data"]["size"], checkpoint.data().len().to_string());
    assert_eq!(node["fee"]["winston"], "0");
}

/// What a CU asks for its block crons.
#[tokio::test]
async fn blocks_from_a_height() {
    let bench = Bench::new().await;
    bench.pass(60_000 * 5);
    let query = "query GetBlocks($min: Int!, $limit: Int!) { blocks( height: { min: $min }, first: $limit, sort: HEIGHT_ASC ) { pageInfo { hasNextPage } edges { node { timestamp height } } } }";
    let answer = bench.query(query, json!({ "min": START + 1, "limit": 2 })).await;
    let blocks = &answer["data"]["blocks"];
    assert_eq!(blocks["pageInfo"]["hasNextPage"], true);
    let second = json!({ "timestamp": BORN_MS / 1000 + 120, "height": START + 2 });
    assert_eq!(blocks["edges"][1]["node"], second);
    let answer = bench.query(query, json!({ "min": START + 4, "limit": 2 })).await;
    assert_eq!(answer["data"]["blocks"]["pageInfo"]["hasNextPage"], false);
    let newest =
        bench.query("{ blocks(first: 1) { edges { cursor node { height } } } }", json!({})).await;
    assert_eq!(newest["data"]["blocks"]["edges"][0]["node"]["height"], START + 5);
    let beyond = bench.query(query, json!({ "min": START + 6, "limit": 2 })).await;
    assert_eq!(beyond["data"]["blocks"]["edges"], json!([]));
}

/// An item, its Type, its Name and its number.
type Made<'a> = (DataItem, &'a str, String, u8);

#[tokio::test]
async fn filters_hold_together_values_are_alternatives_and_pages_do_not_overlap() {
    let bench = Bench::new().await;
    let mut items = Vec::new();
    for number in 0..25_u8 {
        let kind = if number % 5 == 0 { "Process" } else { "Message" };
        let name = format!("n{}", number % 3);
        let owner = wallet(1 + number % 2);
        let tags =
            [("Data-Protocol", "ao"), ("Type", kind), ("Name", name.as_str()), ("Type", kind)];
        let item = item(&owner, &tags, number);
        bench.put(&item).await;
        bench.pass(30_000);
        items.push((item, kind, name, number));
    }
    let matching = |test: &dyn Fn(&Made<'_>) -> bool| -> Vec<String> {
        items.iter().rev().filter(|item| test(item)).map(|item| item.0.id().to_string()).collect()
    };
    let query = "query($tags: [TagFilter!], $owners: [String!], $after: String, $sort: SortOrder, $block: BlockFilter) { transactions(first: 1000, tags: $tags, owners: $owners, after: $after, sort: $sort, block: $block) { edges { cursor node { id } } pageInfo { hasNextPage } } }";
    let name = |values: &[&str]| json!({ "name": "Name", "values": values });
    let answer = bench
        .query(
            query,
            json!({ "tags": [name(&["n1", "n2"]), { "name": "Type", "values": ["Process"] }] }),
        )
        .await;
    assert_eq!(ids(&answer), matching(&|item| item.1 == "Process" && item.2 != "n0"));
    let owner = wallet(2).address().to_string();
    let answer = bench.query(query, json!({ "tags": [name(&["n0"])], "owners": [owner] })).await;
    assert_eq!(ids(&answer), matching(&|item| item.2 == "n0" && item.3 % 2 == 1));
    let not = json!({ "name": "Type", "values": ["Message"], "op": "NEQ" });
    assert_eq!(
        ids(&bench.query(query, json!({ "tags": [not] })).await),
        matching(&|item| item.1 == "Process")
    );
    let block = json!({ "min": START + 1, "max": START + 2 });
    let answer = bench.query(query, json!({ "block": block })).await;
    assert_eq!(ids(&answer), matching(&|item| (2..6).contains(&item.3)));
    for none in [
        json!({ "tags": [name(&[])] }),
        json!({ "tags": [name(&["N1"])] }),
        json!({ "owners": [] }),
    ] {
        assert!(ids(&bench.query(query, none.clone()).await).is_empty(), "{none}");
    }
    let page = query.replace("first: 1000", "first: 7");
    for sort in ["HEIGHT_DESC", "HEIGHT_ASC"] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        loop {
            let asked = json!({ "after": after, "sort": sort, "tags": [{ "name": "Data-Protocol", "values": ["ao"] }] });
            let answer = bench.query(&page, asked).await;
            seen.extend(ids(&answer));
            after = edges(&answer).last().unwrap()["cursor"].clone();
            if answer["data"]["transactions"]["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        let mut all = matching(&|_| true);
        if sort == "HEIGHT_ASC" {
            all.reverse();
        }
        assert_eq!(seen, all, "{sort}");
    }
}

#[tokio::test]
async fn queries_have_bounds_and_mistakes_are_told() {
    let bench = Bench::new().await;
    let wide: String =
        (0..20).map(|n| format!("a{n}: transactions {{ edges {{ node {{ id }} }} }} ")).collect();
    let deep = "{ transactions { edges { node { ".to_owned() + &"block { ".repeat(20);
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    for (query, variables, said) in [
        (format!("{{ {wide} }}"), json!({}), "complex"),
        (deep, json!({}), "expected"),
        (
            "{ transactions(first: 1001) { edges { node { id } } } }".to_owned(),
            json!({}),
            "from 0 to 1000",
        ),
        (
            "{ transactions(first: -1) { edges { node { id } } } }".to_owned(),
            json!({}),
            "from 0 to 1000",
        ),
        (
            "{ transactions(after: \"x\") { edges { node { id } } } }".to_owned(),
            json!({}),
            "no cursor",
        ),
        (
            "query($i: [ID!]) { transactions(ids: $i) { edges { node { id } } } }".to_owned(),
            json!({ "i": many }),
            "at most 1000",
        ),
        ("{ transactions { edges { node { colour } } } }".to_owned(), json!({}), "colour"),
        ("".to_owned(), json!({}), "expected"),
    ] {
        let answer = bench.query(&query, variables).await;
        let text = answer["errors"][0]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned();
        assert!(text.contains(said), "{query}: {text}");
    }
    for body in ["", "x", "[]", "{}", "{\"query\":1}"] {
        let answer = bench.post("/graphql", body).await;
        assert!(answer.status.as_u16() == 400 || answer.json()["errors"].is_array(), "{body}");
    }
}
