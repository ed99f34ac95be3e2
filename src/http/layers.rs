//! A router with everything around it that is the same for every unit.

use super::{Failure, Limits, callers, metrics};
use axum::{
    Extension, Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{
    any::Any,
    sync::atomic::{AtomicU64, Ordering},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::RequestBodyTimeoutLayer,
    trace::TraceLayer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that a client may choose.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// The longest path and query.
const URI_BYTES_MAX: usize = 16 << 10;

/// `router`, with bounds, CORS for everybody, request ids, traces, metrics under the name `unit`, and a
/// JSON body for every error. A panic in a handler ends one request.
pub fn dressed(router: Router, unit: &'static str, limits: &Limits) -> Router {
    let answer = limits.answer;
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(not_that_way)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(RequestBodyTimeoutLayer::new(limits.pause))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(move |request, next| within(answer, request, next)))
        .layer(middleware::from_fn(bounded))
        .layer(middleware::from_fn(callers::named))
        .layer(Extension(limits.trusted.clone()))
        .layer(middleware::from_fn(move |request, next| metrics::counted(unit, request, next)))
        .layer(middleware::from_fn(open_to_all))
        .layer(
            TraceLayer::new_for_http().make_span_with(move |request: &Request| span(unit, request)),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, Counted::default()))
        .layer(middleware::from_fn(short_id))
}

/// Request ids of our own, for requests that come without.
#[derive(Clone, Default)]
struct Counted(std::sync::Arc<AtomicU64>);

impl MakeRequestId for Counted {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{number:x}", std::process::id());
        HeaderValue::from_str(&id).ok().map(RequestId::new)
    }
}

fn span(unit: &'static str, request: &Request) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or("");
    let (method, path) = (request.method(), request.uri().path());
    tracing::info_span!("request", unit, id, %method, path)
}

async fn nowhere(request: Request) -> Failure {
    Failure::unknown(format!("no such route: {} {}", request.method(), request.uri().path()))
}

async fn not_that_way(request: Request) -> Response {
    let text = format!("{} does not answer to {}", request.uri().path(), request.method());
    (StatusCode::METHOD_NOT_ALLOWED, axum::Json(serde_json::json!({ "error": text })))
        .into_response()
}

fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Failure::internal(&format!("panic: {text}")).into_response()
}

async fn within(patience: std::time::Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = format!("not done after {} s; ask again", patience.as_secs());
            Failure::unavailable(text, 1).into_response()
        }
    }
}

async fn bounded(request: Request, next: Next) -> Response {
    let uri = request.uri().path_and_query().map_or(0, |whole| whole.as_str().len());
    if uri > URI_BYTES_MAX {
        let text = format!("path and query have {uri} bytes, of at most {URI_BYTES_MAX}");
        return Failure::malformed(text).into_response();
    }
    next.run(request).await
}

/// Request ids of others are kept, if they are short.
async fn short_id(mut request: Request, next: Next) -> Response {
    if request.headers().get(REQUEST_ID).is_some_and(|id| id.len() > REQUEST_ID_BYTES_MAX) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Any page may ask. Whether it may (`OPTIONS`) is answered with 204, as the reference does.
async fn open_to_all(request: Request, next: Next) -> Response {
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ORIGIN);
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = match asks_first {
        true => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            let methods = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            let wanted = wanted.unwrap_or(HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            response
        }
        false => next.run(request).await,
    };
    share(response.headers_mut());
    response
}

fn share(headers: &mut HeaderMap) {
    let all = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all);
}
