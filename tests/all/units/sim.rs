//! Scheduler, messenger and compute unit under bad luck, in one thread under one seed: requests are lost,
//! doubled and late, answers are lost, disks fail before and after a commit, units die in the middle of a
//! request and are opened again. Whatever happens, schedules end as they do without any of it: each message
//! once, in order; and so do results.
//!
//! The compute unit has threads of its own. It draws its luck by what it asks and how often, not by when, so
//! that a seed is the same bad luck in every run.

use super::{
    ball::{Ball, FORMAT, MODULE},
    kit::*,
};
use axum::Router;
use drivebay::{
    clock::Clock,
    cu::{
        Admission, Archive, ArchiveError, At, Change, Cu, CuOptions, Face, MemoryStore, Network,
        Readers, Scan, Store, Table, cron::Point,
    },
    disk::{Digest, HostError},
    item::{DataItem, Id},
    mu::{Bounds, Mu, MuOptions},
    net::{InProcess, Request, Response, Transport, TransportError},
    store::{Faults, StoreOptions},
    su::{Su, SuOptions},
    wire::schedule::Item,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    io,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

const CHAINS: [&str; 3] = ["x", "y", "z"];
const LEFT: u64 = 5;
const STEPS_MAX: usize = 20_000;
/// How often anything went wrong, over all seeds.
static STRUCK: AtomicU64 = AtomicU64::new(0);

/// All chance there is, from one seed. Zero is none at all.
struct Luck(AtomicU64, Mutex<HashMap<String, u64>>, u64);

impl Luck {
    fn new(seed: u64) -> Arc<Self> {
        let start = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let luck = Self(AtomicU64::new(start), Mutex::default(), seed);
        (0..4).for_each(|_| _ = luck.next());
        Arc::new(luck)
    }

    fn next(&self) -> u64 {
        let mut x = self.0.load(Ordering::SeqCst);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.store(x, Ordering::SeqCst);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// The same for who draws on other threads: by what is at stake, and how often it was.
    fn strikes_at(&self, what: &str, percent: u64) -> bool {
        if self.0.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut drawn = self.1.lock().unwrap();
        let count = drawn.entry(what.to_owned()).or_default();
        *count += 1;
        let text = format!("{} {what} {count}", self.2);
        let strikes = u64::from(Digest::of(text.as_bytes()).0[0]) * 100 / 256 < percent;
        STRUCK.fetch_add(u64::from(strikes), Ordering::SeqCst);
        strikes
    }

    /// True in `percent` of a hundred.
    fn strikes(&self, percent: u64) -> bool {
        let strikes = self.0.load(Ordering::SeqCst) != 0 && self.next() % 100 < percent;
        STRUCK.fetch_add(u64::from(strikes), Ordering::SeqCst);
        strikes
    }
}

struct BadDisk(Arc<Luck>);

impl Faults for BadDisk {
    fn before_commit(&self) -> io::Result<()> {
        match self.0.strikes(4) {
            true => Err(io::Error::other("no space left")),
            false => Ok(()),
        }
    }
    fn after_commit(&self) -> io::Result<()> {
        self.before_commit()
    }
}

/// The compute unit's disk.
struct BadStore(Arc<dyn Store>, Arc<Luck>);

impl BadStore {
    fn chance(&self, what: &str, key: &[u8]) -> Result<(), HostError> {
        match self.1.strikes_at(&format!("{what} {}", Digest::of(key)), 2) {
            true => Err(HostError::Exhausted { what: "disk" }),
            false => Ok(()),
        }
    }
}

impl Store for BadStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.chance(table.name(), key)?;
        self.0.get(table, key)
    }
    fn scan(&self, scan: &Scan) -> Result<Vec<drivebay::cu::Pair>, HostError> {
        self.chance("scan", format!("{scan:?}").as_bytes())?;
        self.0.scan(scan)
    }
    fn write(&self, changes: Vec<Change>) -> Result<(), HostError> {
        self.chance("write", format!("{changes:?}").as_bytes())?;
        self.0.write(changes)
    }
    fn persist(&self) -> Result<(), HostError> {
        self.chance("persist", b"")?;
        self.0.persist()
    }
}

/// The compute unit's way to the scheduler.
struct BadRoad(InProcess, Arc<Luck>);

impl Transport for BadRoad {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let struck =
            |what: &str, percent| self.1.strikes_at(&format!("{what} {}", request.url), percent);
        let (lost, twice, mute) = (struck("lost", 8), struck("twice", 8), struck("mute", 8));
        let why = TransportError { url: request.url.clone(), why: "bad luck".to_owned() };
        async move {
            if lost {
                return Err(why);
            }
            if twice {
                _ = self.0.call(request.clone()).await;
            }
            let answer = self.0.call(request).await;
            if mute { Err(why) } else { answer }
        }
        .boxed()
    }
}

/// A gateway that has the one module.
struct Shelf;

impl Archive for Shelf {
    fn item<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Item>, ArchiveError>> {
        let tags = tags(&[("Type", "Module"), ("Module-Format", FORMAT)]);
        let (id, owner, target) = (id.to_owned(), "publisher".to_owned(), String::new());
        let null = || drivebay::disk::json::Value::Null;
        let (data, signature, anchor) = (null(), null(), null());
        async move { Ok(Some(Item { id, owner, data, tags, signature, anchor, target })) }.boxed()
    }
    fn data<'a>(
        &'a self,
        _: &'a str,
        _: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<bytes::Bytes>, ArchiveError>> {
        async { Ok(Some(MODULE.into())) }.boxed()
    }
    fn size<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<u64>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn transaction<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<bytes::Bytes>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn block(&self, _: u64) -> BoxFuture<'_, Result<Option<bytes::Bytes>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn scheduler_url<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn blocks(&self, _: u64, _: u64) -> BoxFuture<'_, Result<Vec<Point>, ArchiveError>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

/// A network between units that may be replaced.
struct BadNet {
    luck: Arc<Luck>,
    units: Mutex<InProcess>,
    late: Mutex<Vec<Request>>,
    died: Notify,
}

impl BadNet {
    fn units(&self) -> InProcess {
        self.units.lock().unwrap().clone()
    }

    async fn carry(&self, request: Request) -> Result<Response, TransportError> {
        let (luck, units) = (&self.luck, self.units());
        let lost = TransportError { url: request.url.clone(), why: "bad luck".to_owned() };
        if luck.strikes(2) {
            self.died.notify_one();
            pending::<()>().await;
        }
        if luck.strikes(8) {
            return Err(lost);
        }
        if luck.strikes(6) {
            self.late.lock().unwrap().push(request);
            return Err(lost);
        }
        if luck.strikes(8) {
            _ = units.call(request.clone()).await;
        }
        let answer = units.call(request).await;
        if luck.strikes(2) {
            self.died.notify_one();
            pending::<()>().await;
        }
        if luck.strikes(8) { Err(lost) } else { answer }
    }

    /// What was late arrives.
    async fn deliver_late(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for request in late {
            _ = self.units().call(request).await;
        }
    }
}

impl Transport for BadNet {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.carry(request))
    }
}

struct World {
    dir: tempfile::TempDir,
    luck: Arc<Luck>,
    net: Arc<BadNet>,
    gateway: Gateway,
    peers: [Id; 2],
    su: Arc<Su>,
    su_router: Router,
    mu: Arc<Mu>,
    now: Arc<AtomicU64>,
    cu_store: Arc<dyn Store>,
    cu: Cu,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (dir, luck) = (fast_dir(), Luck::new(seed));
        let now = Arc::new(AtomicU64::new(START_MS));
        let net = Arc::new(BadNet {
            luck: luck.clone(),
            units: Mutex::default(),
            late: Mutex::default(),
            died: Notify::new(),
        });
        let (gateway, peers) = (Gateway::default(), starts().map(|item| item.id()));
        let (su, su_router) = open_bad_su(&dir, &luck, &now, &gateway).await;
        let mu = open_bad_mu(&dir, &luck, &now, &net).await;
        let cu_store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let cu = open_cu(&su_router, &cu_store, &luck);
        let world = Self { dir, luck, net, gateway, peers, su, su_router, mu, now, cu_store, cu };
        world.connect();
        world
    }

    fn connect(&self) {
        let face = Face {
            cu: self.cu.clone(),
            address: wallet(4).address(),
            clock: Clock::by_hand(self.now.clone()),
            admission: Admission::default(),
            publisher: None,
        };
        let cu = drivebay::cu::router(Arc::new(face));
        *self.net.units.lock().unwrap() = InProcess::default()
            .with("http://gw", self.gateway.router())
            .with("http://su", self.su_router.clone())
            .with("http://cu", cu);
    }

    async fn reopen_su(&mut self) {
        (self.su, self.su_router) =
            open_bad_su(&self.dir, &self.luck, &self.now, &self.gateway).await;
        // It reaches the compute unit through a road of its own.
        self.reopen_cu().await;
    }

    async fn reopen_cu(&mut self) {
        // Two at a time on one store would be two writers. What it cannot keep, it does again.
        _ = self.cu.clone().shutdown().await;
        self.cu = open_cu(&self.su_router, &self.cu_store, &self.luck);
        self.connect();
    }

    async fn reopen_mu(&mut self) {
        self.mu = open_bad_mu(&self.dir, &self.luck, &self.now, &self.net).await;
    }

    /// A client that sends the same bytes until it is told that they have arrived.
    async fn insist(&mut self, item: &DataItem) {
        for _ in 0..STEPS_MAX {
            let mu = self.mu.clone();
            let sent = tokio::select! {
                sent = mu.submit(item.bytes().clone()) => sent,
                () = self.net.died.notified() => {
                    self.reopen_mu().await;
                    continue;
                }
            };
            match sent {
                Ok(id) => return assert_eq!(id, item.id()),
                Err(_) => self.something_else().await,
            }
        }
        panic!("no item ever arrives");
    }

    async fn something_else(&mut self) {
        self.now.fetch_add(self.luck.next() % 500, Ordering::SeqCst);
        match self.luck.next() % 40 {
            // No luck at all is always 0.
            _ if self.luck.0.load(Ordering::SeqCst) == 0 => {}
            0 => self.reopen_mu().await,
            1 => self.reopen_su().await,
            2 => self.net.deliver_late().await,
            3 => _ = self.su.upload_due().await,
            4 => self.reopen_cu().await,
            _ => {}
        }
    }

    /// One task at a time, whichever the seed picks, until none is left.
    async fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            self.something_else().await;
            let (mu, pick) = (self.mu.clone(), self.luck.next());
            let stepped = tokio::select! {
                stepped = mu.step(pick) => stepped,
                () = self.net.died.notified() => {
                    self.reopen_mu().await;
                    continue;
                }
            };
            if matches!(stepped, Ok(false)) {
                if self.mu.tally().await.unwrap().waiting == 0 {
                    return;
                }
                self.now.fetch_add(5000, Ordering::SeqCst);
            }
        }
        panic!("there is no end to it");
    }

    /// The unit that had bad luck has come to what one comes to that never had any.
    async fn compare(&self) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let honest = open_cu(&self.su_router, &store, &self.luck);
        for process in self.peers {
            for cu in [&self.cu, &honest] {
                cu.evaluate(&process.to_string(), At::Latest).await.unwrap();
            }
            let expected = receipts(&honest, process).await;
            assert_eq!(receipts(&self.cu, process).await, expected);
            assert_eq!(expected.len(), schedule(&self.su_router, process).await.len());
        }
    }

    /// Chain by chain, what each process was told, in order.
    async fn ledger(&self) -> BTreeMap<(usize, String), Vec<String>> {
        let mut ledger = BTreeMap::new();
        for (at, process) in self.peers.iter().enumerate() {
            let nodes = schedule(&self.su_router, *process).await;
            check_chain(*process, &nodes);
            for node in nodes.iter().skip(1) {
                let of = |name| tag(&node["message"], name).unwrap_or_default().to_owned();
                let told: &mut Vec<String> = ledger.entry((at, of("Chain"))).or_default();
                told.push(of("Left"));
            }
        }
        ledger
    }
}

/// Every receipt of a process so far.
async fn receipts(cu: &Cu, process: Id) -> Vec<Digest> {
    let query = drivebay::cu::ResultsQuery { limit: 10_000, ..Default::default() };
    let page = cu.results(&process.to_string(), query).await.unwrap();
    page.results.iter().map(|stored| stored.receipt.digest()).collect()
}

fn open_cu(su: &Router, store: &Arc<dyn Store>, luck: &Arc<Luck>) -> Cu {
    let road = Arc::new(BadRoad(InProcess::default().with("http://su", su.clone()), luck.clone()));
    let runtime = tokio::runtime::Handle::current();
    let source = Network::new(runtime, road, Arc::new(Shelf), Some("http://su")).unwrap();
    let source = Arc::new(source.with_pause(Duration::ZERO));
    let options = CuOptions {
        workers: 1,
        readers: 1,
        fetchers: 1,
        page: 3,
        pause: Duration::ZERO,
        ..CuOptions::default()
    };
    let readers = Readers::default().with(Arc::new(Ball::default())).unwrap();
    let store = Arc::new(BadStore(store.clone(), luck.clone()));
    Cu::open(options, readers, store, source).unwrap()
}

fn starts() -> [DataItem; 2] {
    ["a", "b"].map(|name| process(&wallet(3), wallet(1).address(), name))
}

fn fast_dir() -> tempfile::TempDir {
    // Nothing here is about the speed of a disk.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

async fn open_bad_su(
    dir: &tempfile::TempDir,
    luck: &Arc<Luck>,
    now: &Arc<AtomicU64>,
    gateway: &Gateway,
) -> (Arc<Su>, Router) {
    let gateway = InProcess::default().with("http://gw", gateway.router());
    let mut options = SuOptions::new(Some("http://gw".to_owned()), Arc::new(gateway));
    options.clock = Clock::by_hand(now.clone());
    options.store = StoreOptions { faults: Some(Arc::new(BadDisk(luck.clone()))) };
    let su = Arc::new(Su::open(dir.path(), wallet(1), options).await.unwrap());
    let router = drivebay::su::router(su.clone());
    (su, router)
}

async fn open_bad_mu(
    dir: &tempfile::TempDir,
    luck: &Arc<Luck>,
    now: &Arc<AtomicU64>,
    net: &Arc<BadNet>,
) -> Arc<Mu> {
    let mut options = MuOptions::new("http://cu", net.clone());
    options.clock = Clock::by_hand(now.clone());
    options.schedulers = vec!["http://su".to_owned()];
    options.bounds = Bounds { tries: 1000, pause_ms_max: 2000, ..Bounds::default() };
    options.store = StoreOptions { faults: Some(Arc::new(BadDisk(luck.clone()))) };
    Arc::new(Mu::open(dir.path(), wallet(2), options).await.unwrap())
}

async fn play(seed: u64) -> BTreeMap<(usize, String), Vec<String>> {
    let mut world = World::new(seed).await;
    for item in starts() {
        world.insist(&item).await;
    }
    for chain in CHAINS {
        let left = LEFT.to_string();
        let to = world.peers[1].to_string();
        let more = [("Left", left.as_str()), ("Chain", chain), ("To", to.as_str())];
        let item = message(&wallet(3), world.peers[0], &more);
        world.insist(&item).await;
    }
    world.run().await;
    // From here on nothing goes wrong; and what comes late changes nothing.
    world.luck.0.store(0, Ordering::SeqCst);
    world.reopen_su().await;
    world.reopen_mu().await;
    world.net.deliver_late().await;
    world.run().await;
    assert_eq!(world.mu.tally().await.unwrap(), Default::default());
    world.compare().await;
    world.ledger().await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn whatever_goes_wrong_the_ledgers_end_equal() {
    let lucky = runtime().block_on(play(0));
    let expected: BTreeMap<_, _> = CHAINS
        .iter()
        .flat_map(|chain| {
            let of = |first: u64| (0..=first).rev().step_by(2).map(|left| left.to_string());
            [
                ((0, (*chain).to_owned()), of(LEFT).collect()),
                ((1, (*chain).to_owned()), of(LEFT - 1).collect::<Vec<_>>()),
            ]
        })
        .collect();
    assert_eq!(lucky, expected);
    let seeds = if std::env::var_os("DRIVEBAY_LONG").is_some() { 1000 } else { 100 };
    for seed in 1..=seeds {
        assert_eq!(runtime().block_on(play(seed)), expected, "seed {seed}");
    }
    // A world where nothing goes wrong would prove nothing.
    let struck = STRUCK.load(Ordering::SeqCst);
    assert!(struck > seeds * 20, "{struck} strokes of bad luck over {seeds} seeds");
}
