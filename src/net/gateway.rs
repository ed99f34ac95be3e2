//! Gateways, asked: the embedded one, or those of the open network, several of them by URL.
//!
//! "Not there" is an answer only when every gateway gives it. While one of them does not answer, nobody
//! knows, and that is an error: a process must never remember that something was missing because a machine
//! was down.

use super::{Request, Response, Transport};
use crate::item::{DataItem, Draft, Id, Tag, assemble, from_b64url};
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderValue, RANGE};
use serde_json::{Value, json};
use std::{ops::Range, sync::Arc, time::Duration};

/// Rounds through all gateways, and the pause after the first, which doubles.
/// Where an answer has transactions.
const TRANSACTIONS: &str = "/data/transactions/edges";
const ROUNDS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Blocks of a page.
const BLOCKS_MAX: u64 = 90;

/// Gateways, in the order in which they are asked. Cheap to clone.
#[derive(Clone)]
pub struct GatewayClient {
    urls: Arc<[String]>,
    transport: Arc<dyn Transport>,
    rounds: u32,
    pause: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayClientError {
    /// Nobody answers, or not all say that it is not there. Asking later may help.
    #[error("no gateway can say: {0}")]
    Unreachable(String),
    /// The gateway does not take it; asking again gives the same.
    #[error("the gateway refused: {status}: {text}")]
    Refused {
        /// Its status.
        status: u16,
        /// The start of what it said.
        text: String,
    },
    /// There is nobody to ask.
    #[error("no gateway is configured: name one with --gateway or in drivebay.toml")]
    Nobody,
}

/// A published item, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// Address of its signer: SHA-256 of the key.
    pub owner_address: String,
    /// The signer's key, base64url.
    pub owner_key: String,
    /// All tags, in order.
    pub tags: Vec<Tag>,
    /// Whom it is for; empty for nobody.
    pub recipient: String,
    /// Its anchor, base64url; empty for none.
    pub anchor: String,
    /// Its signature, base64url.
    pub signature: String,
    /// Height of its block, once it has one.
    pub height: Option<u64>,
    /// Bytes of its payload.
    pub data_size: Option<u64>,
}

/// Where a scheduler says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerLocation {
    /// Its URL.
    pub url: String,
    /// For how long that may be believed, in milliseconds.
    pub ttl_ms: u64,
}

/// One block's height and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockTime {
    /// Its height.
    pub height: u64,
    /// Unix time in seconds.
    pub timestamp_s: u64,
}

type Answer<T> = Result<T, GatewayClientError>;

impl Published {
    /// The value of the first tag with exactly this name.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }

    /// The signed item that this and `data` are, if the id and the signature say so.
    pub fn assembled(&self, data: &Bytes) -> Option<DataItem> {
        let target = match self.recipient.as_str() {
            "" => None,
            target => Some(target.parse().ok()?),
        };
        let anchor = match self.anchor.as_str() {
            "" => None,
            anchor => Some(from_b64url(anchor)?.try_into().ok()?),
        };
        let draft = Draft { target, anchor, tags: self.tags.clone(), data: data.clone() };
        let (owner, signature) = (from_b64url(&self.owner_key)?, from_b64url(&self.signature)?);
        let item = assemble(&draft, &owner, &signature).ok()?;
        (item.id().to_string() == self.id).then_some(item)
    }

    /// An item as GraphQL tells it.
    pub fn from_node(node: &Value) -> Option<Self> {
        let text = |path: &str| node.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let tag =
            |tag: &Value| Some(Tag::new(tag.get("name")?.as_str()?, tag.get("value")?.as_str()?));
        Some(Self {
            id: node.get("id")?.as_str()?.to_owned(),
            owner_address: text("/owner/address").to_owned(),
            owner_key: text("/owner/key").to_owned(),
            tags: node.get("tags")?.as_array()?.iter().map(tag).collect::<Option<_>>()?,
            recipient: text("/recipient").to_owned(),
            anchor: text("/anchor").to_owned(),
            signature: text("/signature").to_owned(),
            height: node.pointer("/block/height").and_then(number),
            data_size: node.pointer("/data/size").and_then(number),
        })
    }
}

/// Asks the gateway at `url` for transactions, of which it tells `fields`.
pub(crate) fn transactions_query(url: &str, arguments: &str, fields: &str) -> Request {
    let query =
        format!("query {{ transactions({arguments}) {{ edges {{ node {{ {fields} }} }} }} }}");
    graphql_query(url, &query, &json!({}))
}

fn graphql_query(url: &str, query: &str, variables: &Value) -> Request {
    let body = json!({ "query": query, "variables": variables }).to_string();
    Request::post_json(format!("{url}/graphql"), Bytes::from(body))
}

/// The transactions in the answer. `None` if it is none.
pub(crate) fn transactions_found(response: &Response) -> Option<Vec<Value>> {
    nodes_at(response, TRANSACTIONS)
}

fn nodes_at(response: &Response, path: &str) -> Option<Vec<Value>> {
    let mut answer: Value = serde_json::from_slice(&response.body).ok()?;
    let edges = answer.pointer_mut(path)?.as_array_mut()?;
    Some(edges.iter_mut().filter_map(|edge| Some(edge.get_mut("node")?.take())).collect())
}

/// A number, or a text that is one: gateways differ.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl GatewayClient {
    /// Asks the gateways at `urls`, the first one first.
    pub fn new(
        urls: impl IntoIterator<Item = impl Into<String>>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let urls = urls.into_iter().map(|url| url.into().trim_end_matches('/').to_owned());
        Self { urls: urls.collect(), transport, rounds: ROUNDS, pause: PAUSE }
    }

    /// The same, with so many rounds through all gateways before it gives up.
    #[must_use]
    pub fn with_rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// The same, with another pause after the first round.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The URLs that are asked.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// A payload, or a part of it.
    pub async fn data(&self, id: &str, range: Option<Range<u64>>) -> Answer<Option<Bytes>> {
        let Some(range) = range else {
            let response = self.read(|url| Request::get(format!("{url}/raw/{id}"))).await?;
            return Ok(response.map(|response| response.body));
        };
        if range.is_empty() {
            return Ok(Some(Bytes::new()));
        }
        let (first, last) = (range.start, range.end.saturating_sub(1));
        let value = HeaderValue::from_str(&format!("bytes={first}-{last}"));
        let value = value.map_err(|error| GatewayClientError::Unreachable(error.to_string()))?;
        let ask = |url: &str| Request::get(format!("{url}/{id}")).with(RANGE, value.clone());
        let response = self.read(ask).await?;
        Ok(response.map(|response| part(&response, range)))
    }

    /// Bytes of a payload.
    pub async fn size(&self, id: &str) -> Answer<Option<u64>> {
        let response = self.read(|url| Request::head(format!("{url}/{id}"))).await?;
        let length = response
            .and_then(|response| response.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok());
        Ok(length)
    }

    /// Whether an item is there: a wallet's address is not.
    pub async fn exists(&self, id: &str) -> Answer<bool> {
        Ok(self.read(|url| Request::head(format!("{url}/{id}"))).await?.is_some())
    }

    /// What is published under `id`.
    pub async fn item(&self, id: &str) -> Answer<Option<Published>> {
        Ok(self.node(id).await?.as_ref().and_then(Published::from_node))
    }

    /// An item, its payload, and both as the item that was signed: a gateway cannot hand out another module
    /// than that. The third is `None` where there is no such signature: the gateway lies, or this is a
    /// transaction of Arweave itself, which is signed in another way.
    pub async fn signed_item(
        &self,
        id: &str,
    ) -> Answer<Option<(Published, Bytes, Option<DataItem>)>> {
        let Some(published) = self.item(id).await? else { return Ok(None) };
        let Some(data) = self.data(id, None).await? else { return Ok(None) };
        let item = published.assembled(&data);
        Ok(Some((published, data, item)))
    }

    /// The same, as GraphQL tells it.
    pub async fn node(&self, id: &str) -> Answer<Option<Value>> {
        let query = "query ($ids: [ID!]!) { transactions(ids: $ids) { edges { node { id anchor signature recipient owner { address key } tags { name value } block { height timestamp } data { size } } } } }";
        let nodes = self.nodes(query, json!({ "ids": [id] })).await?;
        Ok(nodes.into_iter().find(|node| node.get("id").and_then(Value::as_str) == Some(id)))
    }

    /// Items of these owners that have all these tags, the newest first.
    pub async fn search(
        &self,
        owners: &[String],
        tags: &[(&str, &str)],
        first: u32,
    ) -> Answer<Vec<Published>> {
        let query = "query ($owners: [String!], $tags: [TagFilter!], $first: Int) { transactions(owners: $owners, tags: $tags, first: $first, sort: HEIGHT_DESC) { edges { node { id anchor signature recipient owner { address key } tags { name value } block { height timestamp } data { size } } } } }";
        let filter = |(name, value): &(&str, &str)| json!({ "name": name, "values": [value] });
        let tags: Vec<Value> = tags.iter().map(filter).collect();
        // An empty list would match nobody.
        let owners = (!owners.is_empty()).then_some(owners);
        let asked = json!({ "owners": owners, "tags": tags, "first": first });
        let nodes = self.nodes(query, asked).await?;
        Ok(nodes.iter().filter_map(Published::from_node).collect())
    }

    /// Where the scheduler with this address says it is: what it published last.
    pub async fn scheduler_location(&self, owner: &str) -> Answer<Option<SchedulerLocation>> {
        let tags = [("Data-Protocol", "ao"), ("Type", "Scheduler-Location")];
        let found = self.search(&[owner.to_owned()], &tags, 1).await?;
        Ok(found.first().and_then(location))
    }

    /// Where the messages of a process are ordered: its `Scheduler`, looked up.
    pub async fn locate(&self, process: &str) -> Answer<Option<SchedulerLocation>> {
        let item = self.item(process).await?;
        let Some(scheduler) = item.as_ref().and_then(|item| item.tag("Scheduler")) else {
            return Ok(None);
        };
        self.scheduler_location(scheduler).await
    }

    /// Height of the newest block.
    pub async fn height(&self) -> Answer<u64> {
        let info = self.json(|url| Request::get(format!("{url}/info"))).await?;
        info.as_ref()
            .and_then(|info| number(info.get("height")?))
            .ok_or_else(|| GatewayClientError::Unreachable("none tells its height".to_owned()))
    }

    /// Blocks from one height to another, both included, as far as they are known, in order.
    pub async fn blocks(&self, from: u64, to: u64) -> Answer<Vec<BlockTime>> {
        let query = "query ($min: Int!, $max: Int!, $limit: Int!) { blocks(height: { min: $min, max: $max }, first: $limit, sort: HEIGHT_ASC) { edges { node { timestamp height } } } }";
        // GraphQL's integers have 31 bits.
        let to = to.min(i32::MAX as u64);
        let mut found: Vec<BlockTime> = Vec::new();
        let mut next = from;
        while next <= to {
            let limit = (to - next).saturating_add(1).min(BLOCKS_MAX);
            let asked = json!({ "min": next, "max": to, "limit": limit });
            let page = self.graphql(query, asked, "/data/blocks/edges").await?;
            let page: Vec<BlockTime> = page.iter().filter_map(block_time).collect();
            // Whoever leaves blocks out does not know them.
            let known =
                page.iter().enumerate().take_while(|(at, block)| block.height == next + *at as u64);
            let known: Vec<BlockTime> = known.map(|(_, block)| *block).collect();
            next += known.len() as u64;
            let is_last = known.is_empty() || (known.len() as u64) < limit;
            found.extend(known);
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// The header of a transaction, as JSON.
    pub async fn transaction(&self, id: &str) -> Answer<Option<Bytes>> {
        let response = self.read(|url| Request::get(format!("{url}/tx/{id}"))).await?;
        Ok(response.map(|response| response.body))
    }

    /// The block at a height, as JSON.
    pub async fn block(&self, height: u64) -> Answer<Option<Bytes>> {
        let ask = |url: &str| Request::get(format!("{url}/block/height/{height}"));
        Ok(self.read(ask).await?.map(|response| response.body))
    }

    /// Confirmations of a transaction.
    pub async fn confirmations(&self, id: &str) -> Answer<Option<u64>> {
        let status = self.json(|url| Request::get(format!("{url}/tx/{id}/status"))).await?;
        Ok(status.as_ref().and_then(|status| number(status.get("number_of_confirmations")?)))
    }

    /// What is at the front door: of an embedded gateway, the units around it.
    pub async fn front_door(&self) -> Answer<Value> {
        let door = self.json(|url| Request::get(format!("{url}/"))).await?;
        door.ok_or_else(|| GatewayClientError::Unreachable("none has a front door".to_owned()))
    }

    /// Uploads an item to the first gateway that takes it.
    pub async fn upload(&self, item: Bytes) -> Answer<Id> {
        let ask = |url: &str| Request::post(format!("{url}/tx"), item.clone());
        let Some(response) = self.read(ask).await? else {
            let text = "none takes uploads at /tx".to_owned();
            return Err(GatewayClientError::Refused { status: 404, text });
        };
        let receipt: Option<Value> = serde_json::from_slice(&response.body).ok();
        let id = receipt.and_then(|receipt| receipt.get("id")?.as_str()?.parse().ok());
        id.ok_or_else(|| GatewayClientError::Refused {
            status: response.status,
            text: response.text(),
        })
    }

    async fn nodes(&self, query: &str, variables: Value) -> Answer<Vec<Value>> {
        self.graphql(query, variables, TRANSACTIONS).await
    }

    /// Nodes of the edges at `path`, of the first gateway that has any.
    async fn graphql(&self, query: &str, variables: Value, path: &str) -> Answer<Vec<Value>> {
        let ask = |url: &str| graphql_query(url, query, &variables);
        let judge = |response: &Response| match nodes_at(response, path) {
            Some(nodes) if nodes.is_empty() => Verdict::Absent,
            Some(_) => Verdict::Found,
            None => Verdict::Failed(format!("no GraphQL answer: {}", response.text())),
        };
        let response = self.first(ask, judge).await?;
        Ok(response.and_then(|response| nodes_at(&response, path)).unwrap_or_default())
    }

    async fn json(&self, ask: impl Fn(&str) -> Request) -> Answer<Option<Value>> {
        let judge = |response: &Response| match serde_json::from_slice::<Value>(&response.body) {
            Ok(_) => Verdict::Found,
            Err(error) => Verdict::Failed(format!("no JSON: {error}")),
        };
        let response = self.first(ask, judge).await?;
        Ok(response.and_then(|response| serde_json::from_slice(&response.body).ok()))
    }

    async fn read(&self, ask: impl Fn(&str) -> Request) -> Answer<Option<Response>> {
        self.first(ask, |_| Verdict::Found).await
    }

    /// The first answer that is found; `None` if all gateways say that there is none.
    async fn first(
        &self,
        ask: impl Fn(&str) -> Request,
        judge: impl Fn(&Response) -> Verdict,
    ) -> Answer<Option<Response>> {
        if self.urls.is_empty() {
            return Err(GatewayClientError::Nobody);
        }
        let mut pause = self.pause;
        for round in 1.. {
            let mut failed = None;
            for url in self.urls.iter() {
                let request = ask(url);
                match self.transport.call(request).await {
                    Ok(response) => match judged(&response, &judge) {
                        Verdict::Found => return Ok(Some(response)),
                        Verdict::Absent => {}
                        Verdict::Refused => {
                            let (status, text) = (response.status, response.text());
                            return Err(GatewayClientError::Refused { status, text });
                        }
                        Verdict::Failed(why) => failed = Some(format!("{url}: {why}")),
                    },
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            match failed {
                None => return Ok(None),
                Some(why) if round >= self.rounds => {
                    return Err(GatewayClientError::Unreachable(why));
                }
                Some(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        Err(GatewayClientError::Nobody)
    }
}

/// What an answer is worth.
enum Verdict {
    Found,
    Absent,
    Refused,
    Failed(String),
}

fn judged(response: &Response, judge: &impl Fn(&Response) -> Verdict) -> Verdict {
    match response.status {
        // A gateway that has seen a transaction and not its bytes yet.
        202 if response.body.starts_with(b"Pending") => Verdict::Failed("it is pending".to_owned()),
        200..=299 => judge(response),
        404 | 410 => Verdict::Absent,
        408 | 429 | 500.. => Verdict::Failed(format!("{} {}", response.status, response.text())),
        _ => Verdict::Refused,
    }
}

/// The wanted part of an answer, from a gateway that knows ranges or one that sends everything.
fn part(response: &Response, range: Range<u64>) -> Bytes {
    let body = &response.body;
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(body.len());
    match response.status {
        206 => body.slice(..at(range.end - range.start)),
        _ => body.slice(at(range.start)..at(range.end)),
    }
}

/// Names of these tags are read in any case, as scheduler-utils does.
fn location(item: &Published) -> Option<SchedulerLocation> {
    let value = |name: &str| {
        item.tags.iter().find(|tag| tag.name.eq_ignore_ascii_case(name)).map(|tag| &tag.value)
    };
    let url = value("Url")?.trim_end_matches('/').to_owned();
    Some(SchedulerLocation { url, ttl_ms: value("Time-To-Live")?.parse().ok()? })
}

fn block_time(node: &Value) -> Option<BlockTime> {
    let height = number(node.get("height")?)?;
    Some(BlockTime { height, timestamp_s: number(node.get("timestamp")?)? })
}

#[cfg(test)]
mod tests;
