//! What all commands that speak to units share: where they are, who signs, and what a unit's no means.

use super::{App, error::usage};
use crate::{
    disk::{Tag, json::Value as Json},
    item::{DataItem, Draft, Id, KeyKind, Wallet, create_wallet, load_wallet},
    net::{GatewayClient, Http, Request, Response, Transport, TransportError},
};
use anyhow::{Context, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    future::Future,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a result that is being worked on is waited for, and the pause between two questions.
const RESULT_PATIENCE: Duration = Duration::from_secs(300);
const RESULT_PAUSE: Duration = Duration::from_millis(500);

/// Where the units are
#[derive(Clone, Debug, clap::Args)]
#[command(
    next_help_heading = "Units (flag, else environment, else what the gateway's front page says)"
)]
pub(crate) struct UnitArgs {
    /// The gateway, which knows where the other units are
    #[arg(
        long,
        visible_alias = "url",
        value_name = "URL",
        env = "GATEWAY_URL",
        default_value = "http://127.0.0.1:4000"
    )]
    pub(crate) gateway: String,
    /// The messenger unit
    #[arg(long, value_name = "URL", env = "MU_URL", hide_env_values = true)]
    pub(crate) mu: Option<String>,
    /// The compute unit
    #[arg(long, value_name = "URL", env = "CU_URL", hide_env_values = true)]
    pub(crate) cu: Option<String>,
    /// The wallet that signs: a JSON Web Key or an Ethereum key [default: wallet.json in the data folder, made if it is not there]
    #[arg(long, value_name = "FILE", env = "DRIVEBAY_WALLET", hide_env_values = true)]
    pub(crate) wallet: Option<PathBuf>,
}

/// The state that a dry-run asks: the newest of a process, or that after a message.
pub(crate) struct DryPlace {
    pub(crate) process: Id,
    pub(crate) to: Option<Id>,
}

/// Units, and a way to them.
pub(crate) struct Client {
    units: UnitArgs,
    wallet_file: PathBuf,
    runtime: Runtime,
    transport: Arc<dyn Transport>,
    pub(crate) gateway: GatewayClient,
}

impl Client {
    pub(crate) fn new(app: &App, units: &UnitArgs) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let transport: Arc<dyn Transport> = Arc::new(Http::new(PATIENCE)?);
        let gateway = GatewayClient::new([units.gateway.as_str()], Arc::clone(&transport));
        let wallet_file =
            units.wallet.clone().unwrap_or_else(|| app.config.data.join("wallet.json"));
        let units = units.clone();
        Ok(Self { units, wallet_file, runtime, transport, gateway: gateway.with_rounds(2) })
    }

    /// Waits for an answer.
    pub(crate) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The wallet that signs. A new one is made only where nobody named one.
    pub(crate) fn wallet(&self) -> anyhow::Result<Wallet> {
        if self.units.wallet.is_some() || self.wallet_file.exists() {
            return Ok(load_wallet(&self.wallet_file)?);
        }
        let wallet = create_wallet(&self.wallet_file, KeyKind::Ethereum)?;
        let (path, address) = (self.wallet_file.display(), wallet.ao_address());
        writeln!(io::stderr(), "made a wallet in {path}: its address is {address}")?;
        Ok(wallet)
    }

    /// The messenger unit's URL.
    pub(crate) fn mu(&self) -> anyhow::Result<String> {
        self.unit(self.units.mu.as_deref(), "mu_url", "messenger unit", "--mu")
    }

    /// The compute unit's URL.
    pub(crate) fn cu(&self) -> anyhow::Result<String> {
        self.unit(self.units.cu.as_deref(), "cu_url", "compute unit", "--cu")
    }

    fn unit(
        &self,
        named: Option<&str>,
        key: &str,
        what: &str,
        flag: &str,
    ) -> anyhow::Result<String> {
        let url = match named {
            Some(url) => Some(url.to_owned()),
            None => self.around(key)?,
        };
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        url.ok_or_else(|| {
            let gateway = &self.units.gateway;
            usage(format!("the gateway {gateway} names no {what}: name one with {flag} URL"))
        })
    }

    /// What the gateway's front page says of its neighbours under `key`.
    pub(crate) fn around(&self, key: &str) -> anyhow::Result<Option<String>> {
        let text = self
            .front_page()?
            .pointer(&format!("/ao/{key}"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(text)
    }

    /// The gateway's front page.
    pub(crate) fn front_page(&self) -> anyhow::Result<Value> {
        let door = self.wait(self.gateway.front_door());
        door.with_context(|| {
            format!(
                "the gateway {} does not answer: start one with `drivebay up`, or name another with --gateway URL",
                self.units.gateway
            )
        })
    }

    /// Signs a message-like draft; its random anchor makes it one of its own.
    pub(crate) fn sign(&self, draft: Draft) -> anyhow::Result<DataItem> {
        Ok(self.wallet()?.sign(&draft.with_random_anchor()?)?)
    }

    /// Hands an item to the messenger unit.
    pub(crate) fn send(&self, item: &DataItem) -> anyhow::Result<Value> {
        let url = format!("{}/", self.mu()?);
        self.told(Request::post(url, item.bytes().clone()))
    }

    /// A unit's JSON answer, if it did as it was asked.
    pub(crate) fn told(&self, request: Request) -> anyhow::Result<Value> {
        let url = request.url.clone();
        let response = self.call(request)?;
        if !response.is_success() {
            return Err(said_no(&url, &response));
        }
        serde_json::from_slice(&response.body)
            .with_context(|| format!("{url} answered no JSON: {}", response.text()))
    }

    /// Whether a unit did as it was asked; what it says then is of no interest.
    pub(crate) fn done(&self, request: Request) -> anyhow::Result<()> {
        let url = request.url.clone();
        let response = self.call(request)?;
        if response.is_success() { Ok(()) } else { Err(said_no(&url, &response)) }
    }

    /// A unit's answer, whatever it is.
    pub(crate) fn call(&self, request: Request) -> anyhow::Result<Response> {
        let answer: Result<Response, TransportError> = self.wait(self.transport.call(request));
        Ok(answer?)
    }

    /// The result of a message, waited for while the compute unit is at it.
    pub(crate) fn result(&self, process: Id, message: Id) -> anyhow::Result<Bytes> {
        let url = format!("{}/result/{message}?process-id={process}", self.cu()?);
        self.computed(|| Request::get(url.as_str()))
    }

    /// What a process would answer to a message that says `data`, from `owner`, without a mark on it.
    pub(crate) fn dry_run(
        &self,
        place: &DryPlace,
        (owner, data): (&str, &str),
        tags: &[Tag],
    ) -> anyhow::Result<Bytes> {
        let tag = |tag: &Tag| json!({ "name": tag.name, "value": tag.value });
        let tags: Vec<Value> = tags.iter().map(tag).collect();
        let body = json!({
            "Id": "1234", "Target": place.process.to_string(), "Owner": owner, "Anchor": "0",
            "Data": data, "Tags": tags,
        });
        let body = Bytes::from(body.to_string());
        let to = place.to.map(|message| format!("&to={message}")).unwrap_or_default();
        let url = format!("{}/dry-run?process-id={}{to}", self.cu()?, place.process);
        self.computed(|| Request::post_json(url.as_str(), body.clone()))
    }

    /// A compute unit's answer to `request`, asked for again while it says "later".
    pub(crate) fn computed(&self, request: impl Fn() -> Request) -> anyhow::Result<Bytes> {
        let started = Instant::now();
        loop {
            let request = request();
            let url = request.url.clone();
            let response = self.call(request)?;
            let is_later = matches!(response.status, 202 | 429 | 503);
            if !is_later && response.is_success() {
                return Ok(response.body);
            }
            if !is_later || started.elapsed() > RESULT_PATIENCE {
                return Err(said_no(&url, &response));
            }
            std::thread::sleep(RESULT_PAUSE);
        }
    }
}

/// A unit's no: of a sender's mistake it tells what to change, and it is no failure of this machine.
fn said_no(url: &str, response: &Response) -> anyhow::Error {
    let body: Option<Value> = serde_json::from_slice(&response.body).ok();
    let said = body.as_ref().and_then(|body| body.get("error")?.as_str());
    let said = said.map_or_else(|| response.text(), str::to_owned);
    let text = format!("{url} answered {}: {said}", response.status);
    match response.status {
        400..=499 => usage(text),
        _ => anyhow!(text),
    }
}

/// A tag as it is typed.
pub(crate) fn parse_tag(text: &str) -> Result<Tag, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Tag::new(name, value)),
        _ => Err("a tag is NAME=VALUE, such as Action=Ping".to_owned()),
    }
}

/// An id as it is typed.
pub(crate) fn parse_id(text: &str) -> Result<Id, String> {
    text.parse().map_err(|error: crate::item::IdError| error.to_string())
}

/// What a message or a process says, as it is typed
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SaidArgs {
    /// Its Data: text, @FILE, or - for stdin
    #[arg(long, short = 'b', value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    body: Option<String>,
    /// Its Data: the bytes of a file
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    file: Option<PathBuf>,
    /// Its tag Action
    #[arg(long, short = 'a', value_name = "NAME")]
    action: Option<String>,
    /// A tag, such as Quantity=100 (repeatable)
    #[arg(long = "tag", short = 't', value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<Tag>,
}

impl SaidArgs {
    /// The data; `otherwise` if none is given.
    pub(crate) fn data(&self, otherwise: &str) -> anyhow::Result<Bytes> {
        Ok(match (&self.body, &self.file) {
            (Some(text), _) => super::message::text(text)?.into(),
            (None, Some(path)) => super::module::read_bytes(path)?.into(),
            (None, None) => Bytes::copy_from_slice(otherwise.as_bytes()),
        })
    }

    /// The tags as typed, then those that make it a `kind` of ao.
    pub(crate) fn tags(&self, kind: &str) -> Vec<Tag> {
        let action = self.action.iter().map(|action| Tag::new("Action", action.as_str()));
        let mut tags: Vec<Tag> = action.chain(self.tags.iter().cloned()).collect();
        for (name, value) in [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", kind)] {
            if tags.iter().all(|tag| tag.name != name) {
                tags.push(Tag::new(name, value));
            }
        }
        tags
    }
}

/// Prints a result, and says how to end: a guest's error is no success.
pub(crate) fn show(app: &App, body: &Bytes, json: bool) -> anyhow::Result<super::error::Exit> {
    let text = std::str::from_utf8(body).context("the compute unit answered no text")?;
    let result = Json::parse(text).context("the compute unit answered no JSON")?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", text.trim_end())?;
    } else {
        super::print::result(
            &mut out,
            &result,
            super::print::Style::new(super::color(&app.config)),
        )?;
    }
    let is_error = result.get("Error").is_some();
    Ok(if is_error { super::error::Exit::Guest } else { super::error::Exit::Done })
}
