//! What a unit counts, as Prometheus reads it.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{sync::OnceLock, time::Instant};

const SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// All metrics of this program, in Prometheus's text format.
pub fn prometheus() -> String {
    let handle = recorder();
    handle.run_upkeep();
    handle.render()
}

/// The program's one recorder.
fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder is installed; /metrics stays empty");
        }
        handle
    })
}

/// Counts a request by the route's pattern, never by its path: clients must not make new series.
pub(super) async fn counted(unit: &'static str, request: Request, next: Next) -> Response {
    recorder();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let started = Instant::now();
    let response = next.run(request).await;
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status().as_str().to_owned();
    let labels = [("unit", unit.to_owned()), ("route", route), ("method", method.to_owned())];
    metrics::histogram!("drivebay_http_seconds", &labels).record(seconds);
    let [unit, route, method] = labels;
    let labels = [unit, route, method, ("status", status)];
    metrics::counter!("drivebay_http_requests_total", &labels).increment(1);
    response
}
