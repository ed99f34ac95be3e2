//! Scheduler and messenger under bad luck, in one thread under one seed: requests are lost, doubled and
//! late, answers are lost, disks fail before and after a commit, units die in the middle of a request and
//! are opened again. Whatever happens, schedules end as they do without any of it: each message once, in
//! order.

use super::kit::*;
use axum::Router;
use drivebay::{
    clock::Clock,
    item::{DataItem, Id},
    mu::{Bounds, Mu, MuOptions},
    net::{InProcess, Request, Response, Transport, TransportError},
    store::{Faults, StoreOptions},
    su::{Su, SuOptions},
};
use futures_util::future::BoxFuture;
use std::{
    collections::BTreeMap,
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

const CHAINS: [&str; 3] = ["x", "y", "z"];
const LEFT: u64 = 5;
const STEPS_MAX: usize = 20_000;
/// How often anything went wrong, over all seeds.
static STRUCK: AtomicU64 = AtomicU64::new(0);

/// All chance there is, from one seed. Zero is none at all.
struct Luck(AtomicU64);

impl Luck {
    fn new(seed: u64) -> Arc<Self> {
        let luck = Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
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
        let world = Self { dir, luck, net, gateway, peers, su, su_router, mu, now };
        world.connect();
        world
    }

    fn connect(&self) {
        let su = InProcess::default().with("http://su", self.su_router.clone());
        let cu = ping_pong(Arc::new(su), "http://su", self.peers);
        *self.net.units.lock().unwrap() = InProcess::default()
            .with("http://gw", self.gateway.router())
            .with("http://su", self.su_router.clone())
            .with("http://cu", cu.router());
    }

    async fn reopen_su(&mut self) {
        (self.su, self.su_router) =
            open_bad_su(&self.dir, &self.luck, &self.now, &self.gateway).await;
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
        let more = [("Left", left.as_str()), ("Chain", chain)];
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
