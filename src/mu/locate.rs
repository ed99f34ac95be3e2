//! Where things are: which scheduler a process has, and where a scheduler is. Asked of the schedulers that
//! are known, then of the gateway; remembered.

use super::MuOptions;
use crate::{
    clock::Clock,
    item::{DataItem, Id},
    net::{Request, Response, Transport, transactions_found, transactions_query},
};
use bytes::Bytes;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Things that are remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 100_000;
/// How long something is believed to be a wallet: it could be a process that nobody has heard of yet.
const WALLET_MS: u64 = 30_000;
/// The longest that a scheduler's word on where it is, is believed.
const LOCATION_MS_MAX: u64 = 3_600_000;

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Its scheduler.
    pub(super) url: String,
    /// Its `Scheduler` tag.
    pub(super) scheduler: String,
    /// Its `Module` tag.
    pub(super) module: String,
}

/// What an id is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Process(Arc<Process>),
    /// Nothing that anybody knows: an address.
    Wallet,
    /// An item that is no process.
    Other,
}

/// Somebody who should know does not answer.
#[derive(Clone, Debug)]
pub(super) struct Lost(pub(super) String);

pub(super) struct Directory {
    gateway: Option<String>,
    schedulers: Vec<String>,
    transport: Arc<dyn Transport>,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    processes: HashMap<Id, Arc<Process>>,
    /// Until when, in milliseconds.
    wallets: HashMap<Id, u64>,
    /// URLs of schedulers, and until when.
    schedulers: HashMap<Id, (String, u64)>,
}

impl Directory {
    pub(super) fn new(options: &MuOptions) -> Self {
        let trim = |url: &String| url.trim_end_matches('/').to_owned();
        Self {
            gateway: options.gateway.as_ref().map(trim),
            schedulers: options.schedulers.iter().map(trim).collect(),
            transport: options.transport.clone(),
            clock: options.clock.clone(),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process `id`, if it is one.
    pub(super) async fn process(&self, id: &Id) -> Result<Option<Arc<Process>>, Lost> {
        match self.place(id).await? {
            Place::Process(process) => Ok(Some(process)),
            Place::Wallet | Place::Other => Ok(None),
        }
    }

    /// A process that has just been placed: nobody else may know it yet, and it must not pass for a wallet.
    pub(super) fn learn(&self, id: &Id, url: &str, bytes: &Bytes) {
        let Ok(item) = DataItem::parse(bytes.clone()) else { return };
        let text = |name| item.tag(name).unwrap_or_default().to_owned();
        let (scheduler, module) = (text("Scheduler"), text("Module"));
        let process = Process { url: url.to_owned(), scheduler, module };
        let mut known = self.known();
        known.wallets.remove(id);
        known.processes.insert(*id, Arc::new(process));
    }

    /// What `id` is.
    pub(super) async fn place(&self, id: &Id) -> Result<Place, Lost> {
        let now = self.clock.now_ms();
        {
            let known = self.known();
            if let Some(process) = known.processes.get(id) {
                return Ok(Place::Process(process.clone()));
            }
            if known.wallets.get(id).is_some_and(|until| *until > now) {
                return Ok(Place::Wallet);
            }
        }
        let place = self.look_up(id).await?;
        let mut known = self.known();
        if known.processes.len() + known.wallets.len() > REMEMBERED_MAX {
            *known = Known::default();
        }
        match &place {
            Place::Process(process) => _ = known.processes.insert(*id, process.clone()),
            Place::Wallet => _ = known.wallets.insert(*id, now.saturating_add(WALLET_MS)),
            Place::Other => {}
        }
        Ok(place)
    }

    async fn look_up(&self, id: &Id) -> Result<Place, Lost> {
        for url in &self.schedulers {
            let response = self.ask(Request::get(format!("{url}/processes/{id}"))).await?;
            if response.is_success() {
                let process = value(&response)?;
                let process = found(&process, url.clone());
                return Ok(Place::Process(Arc::new(process)));
            }
        }
        if self.gateway.is_none() {
            return Ok(Place::Wallet);
        }
        let arguments = format!("ids: [\"{id}\"]");
        let Some(node) = self.newest(&arguments).await? else { return Ok(Place::Wallet) };
        if tag(&node, "Type") != Some("Process") {
            return Ok(Place::Other);
        }
        let scheduler = tag(&node, "Scheduler").and_then(|text| text.parse().ok());
        let Some(scheduler) = scheduler else { return Ok(Place::Other) };
        match self.scheduler(&scheduler).await? {
            Some(url) => Ok(Place::Process(Arc::new(found(&node, url)))),
            None => Err(Lost(format!("nobody says where the scheduler {scheduler} is"))),
        }
    }

    /// The URL of the scheduler with this address, if anybody says.
    pub(super) async fn scheduler(&self, address: &Id) -> Result<Option<String>, Lost> {
        let now = self.clock.now_ms();
        let known = self.known().schedulers.get(address).cloned();
        if let Some((url, until)) = known
            && until > now
        {
            return Ok(Some(url));
        }
        for url in &self.schedulers {
            let who = value(&self.ask(Request::get(format!("{url}/"))).await?)?;
            let says = who.get("address").and_then(Value::as_str);
            if says == Some(&address.to_string()) {
                self.remember(address, url, now.saturating_add(LOCATION_MS_MAX));
                return Ok(Some(url.clone()));
            }
        }
        if self.gateway.is_none() {
            return Ok(None);
        }
        let arguments = format!(
            "owners: [\"{address}\"], tags: [{{ name: \"Data-Protocol\", values: [\"ao\"] }}, \
             {{ name: \"Type\", values: [\"Scheduler-Location\"] }}], sort: HEIGHT_DESC, first: 1"
        );
        let Some(node) = self.newest(&arguments).await? else { return Ok(None) };
        let (Some(url), Some(life)) = (tag(&node, "Url"), tag(&node, "Time-To-Live")) else {
            return Ok(None);
        };
        let life = life.parse().unwrap_or(0_u64).min(LOCATION_MS_MAX);
        let url = url.trim_end_matches('/').to_owned();
        self.remember(address, &url, now.saturating_add(life));
        Ok(Some(url))
    }

    fn remember(&self, address: &Id, url: &str, until: u64) {
        let mut known = self.known();
        if known.schedulers.len() > REMEMBERED_MAX {
            known.schedulers.clear();
        }
        known.schedulers.insert(*address, (url.to_owned(), until));
    }

    /// The first transaction that the gateway has for `arguments`.
    async fn newest(&self, arguments: &str) -> Result<Option<Value>, Lost> {
        let Some(gateway) = &self.gateway else { return Ok(None) };
        let query = transactions_query(gateway, arguments, "id tags { name value }");
        let response = self.ask(query).await?;
        let found = transactions_found(&response)
            .ok_or_else(|| Lost(format!("the gateway: {}", response.text())))?;
        Ok(found.into_iter().next())
    }

    async fn ask(&self, request: Request) -> Result<Response, Lost> {
        let url = request.url.clone();
        match self.transport.call(request).await {
            Ok(response) if response.status < 500 && response.status != 429 => Ok(response),
            Ok(response) => Err(Lost(format!("{url}: {}: {}", response.status, response.text()))),
            Err(error) => Err(Lost(error.to_string())),
        }
    }
}

fn found(process: &Value, url: String) -> Process {
    let text = |name| tag(process, name).unwrap_or_default().to_owned();
    Process { url, scheduler: text("Scheduler"), module: text("Module") }
}

fn value(response: &Response) -> Result<Value, Lost> {
    serde_json::from_slice(&response.body)
        .map_err(|error| Lost(format!("an answer that is no JSON: {error}: {}", response.text())))
}

/// The first tag with this name.
fn tag<'a>(node: &'a Value, name: &str) -> Option<&'a str> {
    let tags = node.get("tags")?.as_array()?;
    tags.iter()
        .find(|tag| tag.get("name").and_then(Value::as_str) == Some(name))?
        .get("value")?
        .as_str()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        item::{Draft, Tag, Wallet},
        net::InProcess,
    };

    #[tokio::test]
    async fn a_newborn_process_is_no_wallet_though_nobody_else_knows_it() {
        let options = MuOptions::new("http://cu", Arc::new(InProcess::default()));
        let directory = Directory::new(&options);
        let wallet = Wallet::from_ethereum_key(&[1; 32]).unwrap();
        let tags = vec![Tag::new("Module", "m"), Tag::new("Scheduler", "s")];
        let item = wallet.sign(&Draft::new(None, tags, " ")).unwrap();
        assert!(matches!(directory.place(&item.id()).await, Ok(Place::Wallet)));
        directory.learn(&item.id(), "http://su", item.bytes());
        let process = directory.process(&item.id()).await.unwrap().unwrap();
        assert_eq!((process.url.as_str(), process.module.as_str()), ("http://su", "m"));
        assert_eq!(process.scheduler, "s");
    }
}
