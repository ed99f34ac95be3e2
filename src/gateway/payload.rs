//! Payloads over HTTP: whole or in a range, with the item's tags as headers, so that who asks for the head
//! alone knows what it is.

use super::{Gateway, GatewayError, Stored};
use crate::{http::Failure, item::Tag};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use std::ops::Range;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Tags that become headers. Only these: a tag must not pass for a header that means something to a browser.
const TAG_HEADERS: &[&str] = &[
    "Action",
    "App-Name",
    "Authority",
    "Bundle-Format",
    "Bundle-Version",
    "Compute-Limit",
    "Cron-Interval",
    "Data-Protocol",
    "Extension",
    "From-Module",
    "From-Process",
    "Input-Encoding",
    "Memory-Limit",
    "Message",
    "Module",
    "Module-Format",
    "Name",
    "Nonce",
    "On-Boot",
    "Output-Encoding",
    "Process",
    "Pushed-For",
    "Reference",
    "Scheduler",
    "Time-To-Live",
    "Type",
    "Url",
    "Variant",
];

/// What a client wants of a payload.
pub(super) struct Wanted<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// Whether tags are told too.
    pub(super) with_tags: bool,
}

/// The answer to a request for an item's payload.
pub(super) async fn answer(
    gateway: &Gateway,
    stored: &Stored,
    wanted: Wanted<'_>,
) -> Result<Response, Failure> {
    let size = stored.data_size;
    let mut headers = described(stored, wanted.with_tags);
    let tag = headers.get(ETAG);
    if tag.is_some() && tag == wanted.headers.get(IF_NONE_MATCH) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let range = wanted.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let (status, range) = match range.and_then(|text| requested(text, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(&mut headers, CONTENT_RANGE, &text);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Some(None) => {
            set(&mut headers, CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let body = match *wanted.method == Method::HEAD {
        true => Body::empty(),
        false => body(gateway, stored, range).await?,
    };
    Ok((status, headers, body).into_response())
}

async fn body(gateway: &Gateway, stored: &Stored, range: Range<u64>) -> Result<Body, GatewayError> {
    if gateway.shelf.inline(stored).await?.is_some() {
        return Ok(gateway.shelf.read(stored, range).await?.into());
    }
    let (_, file) = gateway.shelf.open_payload(stored, range.start).await?;
    Ok(Body::from_stream(ReaderStream::new(file.take(range.end - range.start))))
}

/// Headers that say what the payload is. It is somebody's: no browser runs it in this server's name.
fn described(stored: &Stored, with_tags: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let kind = stored.head.tag("Content-Type").unwrap_or("application/octet-stream");
    set(&mut headers, CONTENT_TYPE, kind);
    set(&mut headers, ETAG, &format!("\"{}\"", stored.head.id()));
    set(&mut headers, CACHE_CONTROL, "public, max-age=31536000, immutable");
    set(&mut headers, ACCEPT_RANGES, "bytes");
    set(&mut headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut headers, CONTENT_SECURITY_POLICY, "sandbox");
    if with_tags {
        stored.head.tags().iter().for_each(|tag| tell(&mut headers, tag));
    }
    headers
}

/// The first tag of a name counts.
fn tell(headers: &mut HeaderMap, tag: &Tag) {
    let Some(name) = TAG_HEADERS.iter().find(|name| **name == tag.name) else { return };
    let Ok(name) = HeaderName::try_from(name.to_ascii_lowercase()) else { return };
    if !headers.contains_key(&name) {
        set(headers, name, &tag.value);
    }
}

/// A value that no header can hold is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The range that a header asks for: `None` to ignore it (RFC 9110, 14.2: what is malformed, or more than
/// one), `Some(None)` if nothing is there.
fn requested(header: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim(), last.trim()) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some((range.start < range.end).then_some(range))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        for (header, range) in [
            ("bytes=0-0", Some(Some(0..1))),
            ("bytes=2-3", Some(Some(2..4))),
            ("bytes=2-", Some(Some(2..10))),
            ("bytes=-3", Some(Some(7..10))),
            ("bytes=-30", Some(Some(0..10))),
            ("bytes=5-99", Some(Some(5..10))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(requested(header, 10), range, "{header}");
        }
        assert_eq!(requested("bytes=0-", 0), Some(None));
    }
}
