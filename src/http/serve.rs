//! Connections: bounded in number, in time and in bytes; ended without loss.

use super::Limits;
use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

/// After an accept that failed, such as for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// What HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between looks at the first bytes of a connection.
const GLANCE: Duration = Duration::from_millis(10);
/// At the end: for a request that has just been sent.
const LAST_CALL: Duration = Duration::from_millis(100);
const H2_PING: Duration = Duration::from_secs(20);

/// Who sent a request, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves `router` on `listener` until `stop` is ready; then lets requests under way end, for a while.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(limits);
    let (stopping, stopped) = watch::channel(false);
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // Closed never: the semaphore lives as long as this loop.
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        let ((stream, peer), place) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let patience = limits.head;
        let watcher = graceful.watcher();
        let (builder, router, stopped) = (builder.clone(), router.clone(), stopped.clone());
        tokio::spawn(async move {
            let spoke = tokio::select! {
                spoke = tokio::time::timeout(patience, speaks(&stream)) => spoke == Ok(true),
                // Who has said nothing has nothing to lose.
                () = is_set(stopped.clone()) => false,
            };
            if spoke {
                connection(&builder, (stream, peer), router, watcher, stopped).await;
            }
            drop(place);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way at the end");
    }
    Ok(())
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(limits.head);
    builder
}

/// Whether the client has said enough to tell which HTTP it speaks. The server below waits for that
/// without end.
async fn speaks(stream: &TcpStream) -> bool {
    let mut start = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return false,
            Ok(length)
                if length < PREFACE.len() && PREFACE.get(..length) == start.get(..length) =>
            {
                tokio::time::sleep(GLANCE).await;
            }
            Ok(_) => return true,
        }
    }
}

async fn is_set(mut stopped: watch::Receiver<bool>) {
    // If the sender is gone, so is the server.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn connection(
    builder: &Builder<TokioExecutor>,
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    watcher: Watcher,
    stopped: watch::Receiver<bool>,
) {
    // Answers are small and awaited.
    _ = stream.set_nodelay(true);
    // Held by each request until the last byte of its answer is written.
    let under_way = Arc::new(());
    let held = Arc::clone(&under_way);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (router, held) = (router.clone(), Arc::clone(&held));
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let response = router.oneshot(request).await?;
            Ok::<_, Infallible>(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &held;
                    frame
                }))
            }))
        }
    });
    let service = TowerToHyperService::new(service);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let idle = async {
        is_set(stopped).await;
        // Two are this function's and the service's. A connection on which a request has only begun to come
        // would otherwise be waited for as long as any.
        let mut looks = 0;
        while looks < 2 {
            tokio::time::sleep(LAST_CALL).await;
            looks = if Arc::strong_count(&under_way) <= 2 { looks + 1 } else { 0 };
        }
    };
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        }
        () = idle => {}
    }
}
