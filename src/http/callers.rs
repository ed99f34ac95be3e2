//! Who asks, and how often: addresses that a proxy may name, and counts per caller.

use super::{Failure, Peer};
use axum::{
    Extension, Router,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, Method, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(60);
/// Callers that are remembered; beyond them all are counted anew.
const CALLERS_MAX: usize = 100_000;

/// Machines of the operator's own, as addresses or networks: what they say of whom they speak for is
/// believed, and they are not counted themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Arc<[Network]>);

/// `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress(String);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "{text:?} is no address; give one such as 10.0.0.1, or a network such as 10.0.0.0/8"
        )
    }
}

impl std::error::Error for NoAddress {}

impl Trusted {
    /// These addresses and networks.
    pub fn parse(texts: &[String]) -> Result<Self, NoAddress> {
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address.to_canonical()))
    }

    /// Whose request it is, out of the other end of its connection and what that says. `None` is somebody
    /// who is trusted, speaking for himself.
    fn caller(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        // Without a peer there is no socket: the caller is this program.
        if let Some(peer) = peer.filter(|peer| !self.has(*peer)) {
            return Some(peer.to_canonical());
        }
        let said = |name: &str| -> Vec<IpAddr> {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .filter_map(|one| one.trim().parse().ok())
                .collect()
        };
        // Each proxy adds whom it speaks for at the end; what stands before a stranger is only his word.
        let forwarded = said("x-forwarded-for").into_iter().rev().find(|one| !self.has(*one));
        forwarded.or_else(|| said("x-real-ip").first().copied()).map(|one| one.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let wrong = || NoAddress(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(one, two)| (one, Some(two)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let address = address.to_canonical();
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(whole), |bits| bits.trim().parse().map_err(|_| wrong()))?;
        if bits > whole { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    fn has(&self, other: IpAddr) -> bool {
        let same = |one: u128, two: u128, whole: u8| {
            let shift = u32::from(whole - self.bits);
            one.checked_shr(shift) == two.checked_shr(shift)
        };
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(two)) => {
                same(one.to_bits().into(), two.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(two)) => same(one.to_bits(), two.to_bits(), 128),
            _ => false,
        }
    }
}

/// Who asks, for handlers. `None` is somebody whom the operator trusts, or this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller(pub Option<IpAddr>);

impl Caller {
    /// Refuses who is not the operator's own machine.
    pub fn must_be_trusted(self) -> Result<(), Failure> {
        match self.0 {
            None => Ok(()),
            Some(address) => Err(Failure::forbidden(format!(
                "only the operator's own machines may ask this, and {address} is not in units.trusted"
            ))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// Notes the caller of a request.
pub(super) async fn named(
    Extension(trusted): Extension<Trusted>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let caller = Caller(trusted.caller(peer, request.headers()));
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// How often a caller may ask something within a minute. The number can change while the unit runs.
#[derive(Debug, Default)]
pub struct Rate {
    /// 0 for any number.
    most: AtomicU64,
    /// By caller: since when is counted, and how many there were.
    callers: Mutex<HashMap<IpAddr, (Instant, u64)>>,
}

impl Rate {
    /// At most so many a minute and caller; 0 for any number.
    pub fn new(most: u64) -> Self {
        Self { most: AtomicU64::new(most), callers: Mutex::default() }
    }

    /// From now on, another number.
    pub fn set(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Counts one more of a caller, and refuses it if it is one too many.
    pub fn allow(&self, caller: Caller) -> Result<(), Failure> {
        let most = self.most.load(Ordering::Relaxed);
        let Some(caller) = caller.0.filter(|_| most > 0) else { return Ok(()) };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS_MAX {
            callers.clear();
        }
        let now = Instant::now();
        let (since, count) = callers.entry(caller).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= most {
            return Ok(());
        }
        let left = WINDOW.saturating_sub(now.duration_since(*since)).as_secs() + 1;
        // The first words are the reference's.
        let text = format!("Rate limit exceeded: {most} a minute; come back in {left} s");
        Err(Failure::limited(text, u32::try_from(left).unwrap_or(60)))
    }
}

/// `router`, where whatever changes something (all but GET, HEAD and OPTIONS) is counted.
pub fn rated(router: Router, rate: Arc<Rate>) -> Router {
    router.layer(middleware::from_fn(move |caller: Caller, request: Request, next: Next| {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        let allowed = if reads { Ok(()) } else { rate.allow(caller) };
        async move {
            match allowed {
                Ok(()) => next.run(request).await,
                Err(failure) => failure.into_response(),
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn caller(trusted: &[&str], peer: &str, forwarded: &[&str]) -> Option<String> {
        let texts: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let mut headers = HeaderMap::new();
        for one in forwarded {
            headers.append("x-forwarded-for", one.parse().unwrap());
        }
        let trusted = Trusted::parse(&texts).unwrap();
        trusted.caller(peer.parse().ok(), &headers).map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_peer_may_say_whom_it_speaks_for() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(caller(&[], "9.9.9.9", &["1.1.1.1"]), some("9.9.9.9"));
        let own = ["10.0.0.0/8", "::1"];
        assert_eq!(caller(&own, "9.9.9.9", &["1.1.1.1"]), some("9.9.9.9"));
        assert_eq!(caller(&own, "10.1.2.3", &["1.1.1.1"]), some("1.1.1.1"));
        assert_eq!(caller(&own, "::ffff:10.1.2.3", &["1.1.1.1"]), some("1.1.1.1"));
        // What a stranger has put in front of himself is not believed.
        assert_eq!(caller(&own, "::1", &["5.5.5.5, 1.1.1.1", "10.0.0.7"]), some("1.1.1.1"));
        assert_eq!(caller(&own, "::1", &[]), None);
        assert_eq!(caller(&own, "::1", &["nobody"]), None);
        assert_eq!(caller(&own, "", &[]), None);
    }

    #[test]
    fn a_text_that_is_no_network_is_named() {
        for text in ["", "x", "10.0.0.0/33", "::1/129", "10.0.0.0/-1"] {
            let error = Trusted::parse(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?} is no address")), "{error}");
        }
    }

    #[test]
    fn each_caller_has_its_own_count_and_friends_have_none() {
        let rate = Rate::new(2);
        let ask =
            |text: &str| rate.allow(Caller(text.parse().ok())).map_err(|no| no.status().as_u16());
        assert_eq!([ask("1.1.1.1"), ask("1.1.1.1"), ask("1.1.1.1")], [Ok(()), Ok(()), Err(429)]);
        assert_eq!(ask("2.2.2.2"), Ok(()));
        assert!((0..9).all(|_| ask("").is_ok()));
        rate.set(0);
        assert_eq!(ask("1.1.1.1"), Ok(()));
    }
}
