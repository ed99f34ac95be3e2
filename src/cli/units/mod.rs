//! Units, put together out of choices: listeners, wallets, stores, routers, and an end without loss.

mod modules;
mod open;
mod reload;

use super::App;
use crate::{
    cu::{Cu, Face},
    gateway::{Gateway, Neighbours},
    http::{self, Limits, Rate, Trusted},
};
use anyhow::Context;
use axum::Router;
use std::{path::PathBuf, rc::Rc, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Which units run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Which {
    pub(crate) gateway: bool,
    pub(crate) mu: bool,
    pub(crate) su: bool,
    pub(crate) cu: bool,
}

impl Which {
    pub(crate) const ALL: Self = Self { gateway: true, mu: true, su: true, cu: true };
    const NONE: Self = Self { gateway: false, mu: false, su: false, cu: false };
    pub(crate) const GATEWAY: Self = Self { gateway: true, ..Self::NONE };
    pub(crate) const MU: Self = Self { mu: true, ..Self::NONE };
    pub(crate) const SU: Self = Self { su: true, ..Self::NONE };
    pub(crate) const CU: Self = Self { cu: true, ..Self::NONE };

    pub(crate) fn is_single(self) -> bool {
        [self.gateway, self.mu, self.su, self.cu].into_iter().filter(|runs| *runs).count() == 1
    }
}

/// Where the units are, and who they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) gateway: Option<String>,
    pub(crate) mu: Option<String>,
    pub(crate) su: Option<String>,
    pub(crate) cu: Option<String>,
    pub(crate) scheduler: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) modules: Vec<(String, String)>,
}

impl About {
    /// The variables that clients read.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let graphql = self.gateway.as_ref().map(|gateway| format!("{gateway}/graphql"));
        let aos =
            self.modules.iter().find(|(name, _)| name == "aos2_0_6").map(|(_, id)| id.clone());
        let named = [
            ("GATEWAY_URL", self.gateway.clone()),
            ("GRAPHQL_URL", graphql.clone()),
            ("ARWEAVE_GRAPHQL", graphql),
            ("MU_URL", self.mu.clone()),
            ("CU_URL", self.cu.clone()),
            ("SCHEDULER", self.scheduler.clone()),
            ("AUTHORITY", self.authority.clone()),
            ("AOS_MODULE", aos),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn neighbours(&self) -> Neighbours {
        Neighbours {
            scheduler: self.scheduler.clone(),
            authority: self.authority.clone(),
            su_url: self.su.clone(),
            mu_url: self.mu.clone(),
            cu_url: self.cu.clone(),
            modules: self.modules.clone(),
        }
    }
}

/// Units at work.
pub(crate) struct Running {
    pub(crate) about: About,
    stop: watch::Sender<bool>,
    servers: JoinSet<std::io::Result<()>>,
    tasks: JoinSet<()>,
    cu: Option<Cu>,
    face: Option<Arc<Face>>,
    /// How often callers may post there.
    su_rate: Arc<Rate>,
    mu_rate: Arc<Rate>,
    trusted: Trusted,
    app: Rc<App>,
}

/// A listener, and the URL under which others reach it.
pub(crate) struct Door {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Door {
    async fn open(host: &str, port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((host, port)).await.with_context(|| {
            format!("cannot listen on {host}:{port}; choose other ports with --port")
        })?;
        let port = listener.local_addr()?.port();
        // Who listens everywhere is reached here too.
        let shown = if matches!(host, "0.0.0.0" | "::") { "127.0.0.1" } else { host };
        Ok(Self { listener, url: format!("http://{shown}:{port}") })
    }
}

impl Running {
    fn new(app: Rc<App>, about: About) -> anyhow::Result<Self> {
        let (stop, _) = watch::channel(false);
        let (servers, tasks) = (JoinSet::new(), JoinSet::new());
        let units = &app.config.units;
        let trusted = Trusted::parse(&units.units.trusted)
            .map_err(|error| super::error::usage(format!("units.trusted: {error}")))?;
        let rate = || Arc::new(Rate::new(units.limits.posts_per_minute));
        let (su_rate, mu_rate) = (rate(), rate());
        let (cu, face) = (None, None);
        Ok(Self { about, stop, servers, tasks, cu, face, su_rate, mu_rate, trusted, app })
    }

    fn limits(&self) -> Limits {
        let drain = Duration::from_secs(self.app.config.units.units.grace_s);
        Limits { drain, trusted: self.trusted.clone(), ..Limits::default() }
    }

    fn serve(&mut self, door: Door, router: Router, unit: &'static str) {
        let limits = self.limits();
        let router = http::dressed(router, unit, &limits);
        let stop = self.stopped();
        self.servers.spawn(async move { http::serve(door.listener, router, &limits, stop).await });
    }

    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // The sender lives until the end; if it is gone, so are we.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Serves until the program is told to stop, then ends what is under way.
    pub(crate) async fn until_stopped(mut self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = term.recv() => break,
                _ = hup.recv() => self.reload(),
                Some(ended) = self.servers.join_next() => {
                    ended.context("a unit ended")?.context("a unit ended")?;
                }
            }
        }
        tracing::info!("stopping");
        self.stop.send_replace(true);
        let grace = self.limits().drain + Duration::from_secs(1);
        let drained = async { while self.servers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, drained).await;
        let settled = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, settled).await;
        drop(self.face);
        if let Some(cu) = self.cu {
            cu.shutdown().await?;
        }
        Ok(())
    }
}

/// Opens and serves the units of `which`.
pub(crate) async fn start(
    app: App,
    which: Which,
    modules: Vec<PathBuf>,
) -> anyhow::Result<Running> {
    open::all(Rc::new(app), which, modules).await
}

/// What a gateway is told when everybody is there.
fn introduce(gateway: &Gateway, about: &About) {
    gateway.set_neighbours(about.neighbours());
}
