//! What was scheduled goes to the gateway: the item, then its assignment. Nobody waits for it, and its
//! failure changes no answer; what was not uploaded is tried again, for as long as it takes.

use super::{Su, SuError, log::Upload};
use crate::net::Request;
use std::{sync::Arc, time::Duration};

/// Uploaded at a time.
const BATCH: u32 = 16;
/// Between looks for something to upload.
const PAUSE: Duration = Duration::from_millis(200);
/// After the first failure; doubled with each.
const BACKOFF_MS: u64 = 500;
const BACKOFF_MS_MAX: u64 = 300_000;
/// Between looks at the newest block.
const HEIGHT_PAUSE: Duration = Duration::from_secs(5);

impl Su {
    /// Uploads what is due, once, and says how many items that were.
    pub async fn upload_due(&self) -> Result<usize, SuError> {
        let Some(gateway) = self.options.gateway.as_deref() else { return Ok(0) };
        let url = format!("{}/tx/arweave", gateway.trim_end_matches('/'));
        let now = self.now_ms();
        let due = self.log.uploads(now, BATCH).await?;
        let mut ended = Vec::with_capacity(due.len());
        for upload in due {
            let again = match self.upload(&url, &upload).await {
                true => None,
                false => Some(now.saturating_add(backoff_ms(upload.tries))),
            };
            let kind = if again.is_none() { "done" } else { "failed" };
            metrics::counter!("drivebay_su_uploads_total", "ended" => kind).increment(1);
            ended.push((upload.process, upload.nonce, again));
        }
        let count = ended.len();
        if count > 0 {
            self.log.uploaded(ended).await?;
        }
        Ok(count)
    }

    async fn upload(&self, url: &str, upload: &Upload) -> bool {
        for bytes in &upload.items {
            match self.options.transport.call(Request::post(url, bytes.clone())).await {
                Ok(response) if response.is_success() => {}
                Ok(response) => {
                    tracing::warn!(
                        status = response.status,
                        text = response.text(),
                        "upload refused"
                    );
                    return false;
                }
                Err(error) => {
                    tracing::debug!(%error, "upload failed");
                    return false;
                }
            }
        }
        true
    }

    /// Asks the gateway for the height of the newest block, once.
    pub async fn look_at_height(&self) {
        let Some(gateway) = self.options.gateway.as_deref() else { return };
        let url = format!("{}/info", gateway.trim_end_matches('/'));
        let height = match self.options.transport.call(Request::get(url)).await {
            Ok(response) => serde_json::from_slice::<serde_json::Value>(&response.body)
                .ok()
                .and_then(|info| info.get("height")?.as_u64()),
            Err(error) => {
                tracing::debug!(%error, "the gateway's height is not known");
                None
            }
        };
        if let Some(height) = height {
            self.see_height(height);
        }
    }

    /// Uploads and follows the blocks for as long as it is polled.
    pub async fn work(self: Arc<Self>) {
        let heights = async {
            loop {
                self.look_at_height().await;
                tokio::time::sleep(HEIGHT_PAUSE).await;
            }
        };
        let uploads = async {
            loop {
                match self.upload_due().await {
                    Ok(0) => tokio::time::sleep(PAUSE).await,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "uploading");
                        tokio::time::sleep(PAUSE * 10).await;
                    }
                }
            }
        };
        tokio::join!(heights, uploads);
    }
}

fn backoff_ms(tries: i64) -> u64 {
    let doublings = u32::try_from(tries.clamp(0, 20)).unwrap_or(0);
    BACKOFF_MS.saturating_mul(1 << doublings).min(BACKOFF_MS_MAX)
}
