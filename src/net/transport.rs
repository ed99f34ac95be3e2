//! One request to another unit, and its answer. Over HTTP; or, where units share a program or a test
//! wants to lose messages, straight into their routers.

use axum::{Router, body::Body};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::BoxFuture};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use std::{collections::BTreeMap, time::Duration};
use tower::ServiceExt;

/// The most bytes of an answer, if nobody says otherwise.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const REDIRECTS_MAX: usize = 5;
const CONNECT: Duration = Duration::from_secs(5);

/// What is asked of a unit.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST …
    pub method: Method,
    /// Whole, with its query.
    pub url: String,
    /// In order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// May be empty.
    pub body: Bytes,
}

impl Request {
    /// A GET that expects JSON.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url, Bytes::new())
    }

    /// A POST of raw bytes, such as a data item, that expects JSON.
    pub fn post(url: impl Into<String>, body: Bytes) -> Self {
        let octets = HeaderValue::from_static("application/octet-stream");
        Self::new(Method::POST, url, body).with(reqwest::header::CONTENT_TYPE, octets)
    }

    /// A POST of JSON that expects JSON.
    pub fn post_json(url: impl Into<String>, body: Bytes) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::new(Method::POST, url, body).with(reqwest::header::CONTENT_TYPE, json)
    }

    /// A HEAD: whether there is something.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new(Method::HEAD, url, Bytes::new())
    }

    fn new(method: Method, url: impl Into<String>, body: Bytes) -> Self {
        let json = HeaderValue::from_static("application/json");
        let headers = vec![(reqwest::header::ACCEPT, json)];
        Self { method, url: url.into(), headers, body }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Under the request id `id`, so that the logs of two units can be laid side by side.
    #[must_use]
    pub fn traced(self, id: &str) -> Self {
        match HeaderValue::from_str(id) {
            Ok(value) => self.with(HeaderName::from_static("x-request-id"), value),
            Err(_) => self,
        }
    }
}

/// A unit's answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 …
    pub status: u16,
    /// As they came.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

impl Response {
    /// Whether the unit did as it was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The beginning of the body, for people.
    pub fn text(&self) -> String {
        let end = self.body.len().min(512);
        String::from_utf8_lossy(self.body.get(..end).unwrap_or_default()).into_owned()
    }
}

/// No answer. The other unit may have done what was asked, or not.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer from {url}: {why}")]
pub struct TransportError {
    /// What was asked.
    pub url: String,
    /// What happened instead.
    pub why: String,
}

/// Carries requests. Redirects are followed: 307 and 308 with the body, as a client of a scheduler must.
pub trait Transport: Send + Sync {
    /// The answer, whatever its status.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;
}

/// Over the network.
pub struct Http {
    client: reqwest::Client,
    answer_bytes_max: usize,
}

impl Http {
    /// Gives up on an answer after `patience`.
    pub fn new(patience: Duration) -> Result<Self, TransportError> {
        // Fails only if somebody has chosen a provider before, which is as good.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(patience)
            .redirect(Policy::none())
            .user_agent(concat!("drivebay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed("", &error))?;
        Ok(Self { client, answer_bytes_max: ANSWER_BYTES_MAX })
    }

    async fn send(&self, mut request: Request) -> Result<Response, TransportError> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send_once(request.clone()).await?;
            match redirected(&request.url, &response) {
                Some(url) => request.url = url,
                None => return Ok(response),
            }
        }
        Err(failed(&request.url, &"it redirects without end"))
    }

    async fn send_once(&self, request: Request) -> Result<Response, TransportError> {
        let url = request.url;
        let mut builder = self.client.request(request.method, &url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(|error| failed(&url, &chain(&error)))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|error| failed(&url, &chain(&error)))?);
            if body.len() > self.answer_bytes_max {
                let why = format!("its answer has more than {} bytes", self.answer_bytes_max);
                return Err(failed(&url, &why));
            }
        }
        Ok(Response { status, headers, body: body.freeze() })
    }
}

impl Transport for Http {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.send(request))
    }
}

/// The units of one program, by the beginning of their URLs, without sockets between them.
#[derive(Clone, Default)]
pub struct InProcess {
    units: BTreeMap<String, Router>,
}

impl InProcess {
    /// With `router` where URLs begin with `origin`, such as `http://su`.
    #[must_use]
    pub fn with(mut self, origin: impl Into<String>, router: Router) -> Self {
        self.units.insert(origin.into(), router);
        self
    }

    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let url = request.url;
        let unit = self.units.iter().find_map(|(origin, router)| {
            let path = url.strip_prefix(origin.as_str())?;
            (path.is_empty() || path.starts_with(['/', '?'])).then_some((router, path))
        });
        let (router, path) = unit.ok_or_else(|| failed(&url, &"nobody is there"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let mut builder = axum::http::Request::builder().method(request.method).uri(path);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Body::from(request.body)).map_err(|why| failed(&url, &why))?;
        let response = router.clone().oneshot(request).await.map_err(|why| failed(&url, &why))?;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await;
        let body = body.map_err(|why| failed(&url, &why))?;
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Transport for InProcess {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.send(request))
    }
}

/// Where to ask instead, if the unit said so.
fn redirected(url: &str, response: &Response) -> Option<String> {
    if !matches!(response.status, 301 | 302 | 307 | 308) {
        return None;
    }
    let location = response.headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
    let target = Url::parse(url).ok()?.join(location).ok()?;
    matches!(target.scheme(), "http" | "https").then(|| target.into())
}

fn failed(url: &str, why: &dyn std::fmt::Display) -> TransportError {
    TransportError { url: url.to_owned(), why: why.to_string() }
}

/// An error and its causes: reqwest tells the cause only there.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
