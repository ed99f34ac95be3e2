//! `eth_subscribe`: blocks and logs, told as they come.

use super::{blocks, error::RpcError, logs::Search, methods, params::Params, process::Process};
use crate::disk::Slot;
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, RpcModule, SubscriptionSink, server::RegisterMethodError,
    types,
};
use serde_json::{Value, json, value::to_raw_value};
use std::{sync::Arc, time::Duration};

/// Blocks that are told at once; a client that is further behind starts anew at the newest.
const BEHIND_MAX: u64 = 10_000;
/// How long a client may take to take one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client wants to hear of.
enum Topic {
    Heads,
    Logs(Search),
}

pub(super) fn register(module: &mut RpcModule<()>) -> Result<(), RegisterMethodError> {
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, _, extensions| subscribe(params, pending, extensions),
    )?;
    Ok(())
}

async fn subscribe(
    params: types::Params<'static>,
    pending: PendingSubscriptionSink,
    extensions: Extensions,
) {
    let asked = async {
        let process = methods::process(&extensions)?;
        let topic = topic(&methods::read(&params)?)?;
        Ok::<_, RpcError>((topic, process.latest_slot().await?, process))
    };
    match asked.await {
        Ok((topic, now, process)) => {
            if let Ok(sink) = pending.accept().await {
                tell(&process, &topic, &sink, now).await;
            }
        }
        Err(error) => pending.reject(error).await,
    }
}

fn topic(params: &Params) -> Result<Topic, RpcError> {
    match params.get(0).and_then(Value::as_str) {
        Some("newHeads") => Ok(Topic::Heads),
        Some("logs") => {
            let wanted = params.get(1).cloned().unwrap_or_else(|| json!({}));
            Search::read(&wanted).map(Topic::Logs)
        }
        _ => Err(RpcError::invalid(
            "parameter 0 should be newHeads or logs: there is no pool of transactions here, and nothing to be synchronised",
        )),
    }
}

/// Tells what comes after `seen`, until the client goes.
async fn tell(process: &Arc<Process>, topic: &Topic, sink: &SubscriptionSink, mut seen: Slot) {
    let Some(mut pulse) = process.eth.pulses.listen(process, seen) else { return };
    loop {
        let newest = *pulse.borrow_and_update();
        seen = seen.min(newest);
        if newest > seen {
            if newest.nonce.saturating_sub(seen.nonce) > BEHIND_MAX {
                seen = newest;
            }
            let news = news(process, topic, seen, newest).await;
            // What cannot be read now is read at the next beat.
            if let Ok(news) = news {
                for item in news {
                    let Ok(message) = to_raw_value(&item) else { continue };
                    if sink.send_timeout(message, PATIENCE).await.is_err() {
                        return;
                    }
                }
                seen = newest;
            }
        }
        tokio::select! {
            () = sink.closed() => return,
            changed = pulse.changed() => if changed.is_err() { return },
        }
    }
}

async fn news(
    process: &Process,
    topic: &Topic,
    seen: Slot,
    newest: Slot,
) -> Result<Vec<Value>, RpcError> {
    match topic {
        Topic::Logs(search) => search.run(process, (seen.nonce, newest.nonce), Some(seen)).await,
        Topic::Heads => {
            let mut heads = Vec::new();
            for number in (seen.nonce..=newest.nonce).skip(1) {
                heads.extend(blocks::head(process, number).await?);
            }
            Ok(heads)
        }
    }
}
