//! Opens units, in the order in which they need each other: gateway, scheduler, compute unit, messenger.

use super::{About, Door, Running, Which, introduce, modules, reload::access};
use crate::{
    cli::{App, module},
    clock::Clock,
    config::{KeyKind, Units},
    cu::{
        self, Admission, AskedMax, Cu, CuOptions, Face, FjallStore, Hyperbeam, Network, Publisher,
        Sidecar, Source,
    },
    eth::{self, Eth, Post},
    gateway::{self, BlockOptions, Gateway, GatewayOptions},
    http,
    item::{self, Draft, Tag, Wallet},
    mu::{self, Mu, MuOptions},
    net::{GatewayClient, Http, Transport},
    su::{self, Su, SuOptions},
};
use std::{
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// How long another unit may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// The part of the memory for processes that stays at hand.
const SPARE: u64 = 16;
/// What a scheduler says of how long its address may be believed.
const LOCATION_TTL_MS: &str = "3600000";

/// What all openings share.
struct Opening {
    app: Rc<App>,
    transport: Arc<dyn Transport>,
    which: Which,
    /// URLs of gateways: the one of this program, or those of the config.
    gateways: Vec<String>,
}

struct Doors {
    gateway: Option<Door>,
    mu: Option<Door>,
    su: Option<Door>,
    cu: Option<Door>,
}

pub(super) async fn all(
    app: Rc<App>,
    which: Which,
    folders: Vec<PathBuf>,
) -> anyhow::Result<Running> {
    let units = &app.config.units;
    // All ports first: who cannot have them leaves nothing behind.
    let doors = Doors::open(units, which).await?;
    let about = doors.about(units);
    let opening = Opening {
        gateways: about.gateway.clone().map_or_else(|| units.gateway.urls.clone(), |url| vec![url]),
        transport: Arc::new(Http::new(PATIENCE)?),
        app: Rc::clone(&app),
        which,
    };
    let mut running = Running::new(Rc::clone(&app), about)?;
    let gateway = match doors.gateway {
        Some(door) => Some(opening.gateway(&mut running, door).await?),
        None => None,
    };
    if let Some(gateway) = &gateway {
        let publisher = opening.wallet("publisher", None, item::KeyKind::Ethereum)?;
        running.about.modules = modules::publish(&app, gateway, &publisher, &folders).await?;
    }
    if let Some(door) = doors.su {
        opening.su(&mut running, door).await?;
    }
    if let Some(door) = doors.cu {
        opening.cu(&mut running, door)?;
    }
    if let Some(door) = doors.mu {
        opening.mu(&mut running, door).await?;
    }
    if let Some(gateway) = &gateway {
        introduce(gateway, &running.about);
    }
    Ok(running)
}

impl Doors {
    async fn open(units: &Units, which: Which) -> anyhow::Result<Self> {
        let host = &units.units.host;
        let door = async |wanted: bool, own: Option<u16>, offset: u16| match wanted {
            true => Door::open(host, units.port(own, offset)).await.map(Some),
            false => Ok(None),
        };
        Ok(Self {
            gateway: door(which.gateway, units.gateway.port, 0).await?,
            mu: door(which.mu, units.mu.port, 2).await?,
            su: door(which.su, units.su.port, 3).await?,
            cu: door(which.cu, units.cu.port, 4).await?,
        })
    }

    fn about(&self, units: &Units) -> About {
        let url = |door: &Option<Door>| door.as_ref().map(|door| door.url.clone());
        About {
            gateway: url(&self.gateway),
            mu: url(&self.mu),
            su: units.su.url.clone().filter(|_| self.su.is_some()).or(url(&self.su)),
            cu: url(&self.cu).or_else(|| units.mu.cu.clone()),
            ..About::default()
        }
    }
}

impl Opening {
    /// The folder of a unit.
    fn folder(&self, unit: &str) -> PathBuf {
        self.app.config.data.join("units").join(unit)
    }

    /// A unit's wallet, made on the first start.
    fn wallet(
        &self,
        unit: &str,
        named: Option<&Path>,
        kind: item::KeyKind,
    ) -> anyhow::Result<Wallet> {
        if let Some(path) = named {
            return Ok(item::load_wallet(path)?);
        }
        let path = self.folder("wallets").join(format!("{unit}.json"));
        match path.exists() {
            true => Ok(item::load_wallet(&path)?),
            false => Ok(item::create_wallet(&path, kind)?),
        }
    }

    fn kind(&self) -> item::KeyKind {
        match self.app.config.units.units.key {
            KeyKind::Ethereum => item::KeyKind::Ethereum,
            KeyKind::Arweave => item::KeyKind::Rsa,
        }
    }

    async fn gateway(&self, running: &mut Running, door: Door) -> anyhow::Result<Arc<Gateway>> {
        let chosen = &self.app.config.units.gateway;
        let blocks =
            BlockOptions { interval_ms: chosen.block_interval_ms, ..BlockOptions::default() };
        let options = GatewayOptions { blocks, ..GatewayOptions::default() };
        let gateway = Arc::new(Gateway::open(&self.folder("gateway"), options).await?);
        running.serve(door, gateway::router(Arc::clone(&gateway)), "gateway");
        Ok(gateway)
    }

    async fn su(&self, running: &mut Running, door: Door) -> anyhow::Result<()> {
        let wallet = self.wallet("su", self.app.config.units.su.wallet.as_deref(), self.kind())?;
        let url = running.about.su.clone().unwrap_or_else(|| door.url.clone());
        let location = self.location(&wallet, &url)?;
        let options = SuOptions::new(self.gateways.first().cloned(), Arc::clone(&self.transport));
        let su = Arc::new(Su::open(&self.folder("su"), wallet, options).await?);
        running.about.scheduler = Some(su.address().to_string());
        let router = http::rated(su::router(Arc::clone(&su)), Arc::clone(&running.su_rate));
        running.serve(door, router, "su");
        if !self.gateways.is_empty() {
            let gateways = GatewayClient::new(self.gateways.clone(), Arc::clone(&self.transport));
            gateways.upload(location).await?;
            su.look_at_height().await;
        }
        let stopped = running.stopped();
        running.tasks.spawn(async move {
            tokio::select! { () = su.work() => {}, () = stopped => {} }
        });
        Ok(())
    }

    /// Where the scheduler is, signed by it.
    fn location(&self, wallet: &Wallet, url: &str) -> anyhow::Result<bytes::Bytes> {
        let tags = [
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Scheduler-Location"),
            ("Url", url),
            ("Time-To-Live", LOCATION_TTL_MS),
        ];
        let tags = tags.map(|(name, value)| Tag::new(name, value)).to_vec();
        // The newest one holds, so an address that comes back must be said anew.
        let draft = Draft::new(None, tags, " ").with_random_anchor()?;
        Ok(wallet.sign(&draft)?.bytes().clone())
    }

    fn cu(&self, running: &mut Running, door: Door) -> anyhow::Result<()> {
        let chosen = &self.app.config.units.cu;
        let wallet = self.wallet("cu", chosen.wallet.as_deref(), self.kind())?;
        let gateways = GatewayClient::new(self.gateways.clone(), Arc::clone(&self.transport));
        // What runs beside us needs no looking up.
        let su = chosen.su.clone().or_else(|| running.about.su.clone());
        let source = Network::new(
            tokio::runtime::Handle::current(),
            Arc::clone(&self.transport),
            Arc::new(gateways.clone().with_rounds(2)),
            su.as_deref(),
        )?;
        let source = source.trusting(chosen.trusted_checkpoints.clone());
        let mut options =
            CuOptions { artifacts: module::artifacts(&self.app.config), ..CuOptions::default() };
        let limits = &self.app.config.units.limits;
        let memory_bytes = limits.memory_limit_mb.saturating_mul(1 << 20);
        options.asked_max = AskedMax { memory_bytes, compute: limits.compute_limit };
        if chosen.workers > 0 {
            options.workers = usize::from(chosen.workers);
        }
        options.memory_bytes = process_bytes(chosen.memory_mb).unwrap_or(options.memory_bytes);
        let store = Arc::new(FjallStore::open(&self.folder("cu"))?);
        let (source, beside): (Arc<dyn Source>, _) = match chosen.hyperbeam.as_deref() {
            None => (Arc::new(source), None),
            Some(node) => {
                let source = Arc::new(Hyperbeam::new(source, Some(node))?);
                (source.clone(), Some(source))
            }
        };
        let cu = Cu::open(options, self.app.readers.clone(), store, source)?;
        let publisher = match self.gateways.is_empty() {
            true => None,
            false => {
                let wallet = self.wallet("cu", chosen.wallet.as_deref(), self.kind())?;
                Some(Publisher { wallet, gateways })
            }
        };
        let face = Arc::new(Face {
            cu: cu.clone(),
            address: wallet.address(),
            clock: Clock::system(),
            admission: Admission::new(access(&self.app.config.units)),
            publisher,
        });
        // A messenger follows up on what a transaction sends; a scheduler alone only gives it its place.
        let post = running.about.mu.clone().or(su);
        let eth = self.eth(Arc::clone(&face), post.map(|url| (wallet, url)));
        let mut router = cu::router(Arc::clone(&face)).merge(eth::router(eth)?);
        if let Some(source) = beside {
            let folder = self.folder("cu").join("checkpoints");
            let sidecar = Sidecar { face: Arc::clone(&face), source, folder };
            router = router.merge(cu::sidecar(Arc::new(sidecar)));
        }
        running.serve(door, router, "cu");
        running.cu = Some(cu);
        running.face = Some(face);
        Ok(())
    }

    /// What serves Ethereum's tools, and sends to `post`.
    fn eth(&self, face: Arc<Face>, post: Option<(Wallet, String)>) -> Arc<Eth> {
        let transport = Arc::clone(&self.transport);
        let eth = Eth::new(face, post.map(|(wallet, url)| Post { wallet, url, transport }));
        let has_private = self.app.config.units.cu.eth_dev.holds(self.which == Which::ALL);
        Arc::new(if has_private { eth.with_private_chains() } else { eth })
    }

    async fn mu(&self, running: &mut Running, door: Door) -> anyhow::Result<()> {
        let wallet = self.wallet("mu", self.app.config.units.mu.wallet.as_deref(), self.kind())?;
        let cu = self.app.config.units.mu.cu.clone().or_else(|| running.about.cu.clone());
        let cu = cu.ok_or_else(|| {
            crate::cli::error::usage(
                "a messenger takes results from a compute unit: name one with --set mu.cu=URL",
            )
        })?;
        let options = MuOptions {
            gateway: self.gateways.first().cloned(),
            schedulers: running.about.su.iter().cloned().collect(),
            ..MuOptions::new(cu, Arc::clone(&self.transport))
        };
        let mu = Arc::new(Mu::open(&self.folder("mu"), wallet, options).await?);
        // Processes meet an Ethereum key by its own address.
        running.about.authority = Some(mu.ao_address());
        let router = http::rated(mu::router(Arc::clone(&mu)), Arc::clone(&running.mu_rate));
        running.serve(door, router, "mu");
        let stopped = running.stopped();
        running.tasks.spawn(async move {
            tokio::select! { () = mu.work() => {}, () = stopped => {} }
        });
        Ok(())
    }
}

/// Bytes of memory for live processes, if that was chosen or can be known. Of all that is there for them, a part stays at
/// hand for those that are mounted next.
fn process_bytes(memory_mb: u64) -> Option<u64> {
    let chosen = (memory_mb > 0).then(|| memory_mb.saturating_mul(1 << 20));
    let all = chosen.or_else(|| Some(machine_bytes()? / 2))?;
    drivebay_lua::spare_bytes(all / SPARE);
    Some(all - all / SPARE)
}

/// Bytes of memory that this program may use, as far as the system says: the machine's, or its group's.
fn machine_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    Some(group.map_or(total, |group| group.min(total)))
}
