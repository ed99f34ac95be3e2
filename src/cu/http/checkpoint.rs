//! Checkpoints: a process's memory as others can take it over, published on an operator's wish.

use super::{Segment, Shared};
use crate::{
    cu::{At, Cu, CuError, Position},
    disk::{HostError, bug},
    http::{Caller, Failure},
    item::{Draft, Tag, Wallet},
    net::GatewayClient,
};
use axum::{
    Json,
    extract::{Path, State},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fs, io::Write, path::PathBuf};

/// How a unit publishes.
pub struct Publisher {
    /// Signs checkpoints.
    pub wallet: Wallet,
    /// Take them.
    pub gateways: GatewayClient,
}

/// A memory, gzipped.
pub(super) struct Memory {
    pub(super) at: Position,
    /// Of the memory itself, in lower-case hex.
    sha256: String,
    gzip: Bytes,
}

impl Memory {
    /// The memory of a process. Refused for a format whose state is more than a memory.
    pub(super) async fn of(cu: &Cu, process: &str, at: At) -> Result<Self, CuError> {
        let (checkpoint, memory) = cu.disown(process, at).await?;
        let packed = tokio::task::spawn_blocking(move || {
            let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&memory));
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&memory)?;
            Ok::<_, std::io::Error>((sha256, gzip.finish()?))
        });
        let packed = packed.await.map_err(|error| bug!("{error}"))?;
        let (sha256, gzip) = packed.map_err(|error| HostError::io("packing a memory", error))?;
        Ok(Self { at: checkpoint.at, sha256, gzip: gzip.into() })
    }

    /// Writes a file, whole or not at all.
    pub(super) async fn write(&self, file: PathBuf) -> Result<(), CuError> {
        let gzip = self.gzip.clone();
        let write = move || {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            let temp = file.with_extension("new");
            fs::write(&temp, &gzip)?;
            fs::File::open(&temp)?.sync_all()?;
            fs::rename(&temp, &file)
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(|error| bug!("{error}"))?;
        Ok(written.map_err(|error| HostError::io("writing a checkpoint", error))?)
    }

    /// The tags of the network's checkpoints, in their order.
    fn tags(&self, process: &str, module: &str, unit: &str) -> Vec<Tag> {
        let (at, nonce) = (&self.at, self.at.slot.nonce.to_string());
        let (time, height) = (at.timestamp_ms.to_string(), at.block_height.to_string());
        let tags = [
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Checkpoint"),
            ("Module", module),
            ("Process", process),
            ("Nonce", &nonce),
            ("Timestamp", &time),
            ("Block-Height", &height),
            ("Content-Type", "application/octet-stream"),
            ("SHA-256", &self.sha256),
            ("Content-Encoding", "gzip"),
            ("Unit-Identifier", unit),
            ("Ordinate", &nonce),
            ("Hash-Chain", &at.hash_chain),
            ("Epoch", "0"),
        ];
        tags.map(|(name, value)| Tag::new(name, value)).to_vec()
    }
}

/// `POST /checkpoint/{process}`: signs and publishes the state after what has been evaluated.
pub(super) async fn publish(
    State(face): Shared,
    caller: Caller,
    path: Segment,
) -> Result<Json<Value>, Failure> {
    caller.must_be_trusted()?;
    let Path(process) = path?;
    let Some(publisher) = &face.publisher else {
        return Err(Failure::forbidden("this unit publishes no checkpoints: it has no gateway"));
    };
    face.admission.admit(&face.cu, &process).await?;
    let module = face.cu.process(&process).await?.process.module.clone();
    let memory = Memory::of(&face.cu, &process, At::Head).await?;
    if memory.at.slot.tick > 0 {
        return Err(Failure::refused(
            "the process stands between two messages, at a cron; try again after its next message",
        ));
    }
    let tags = memory.tags(&process, &module, &face.address.to_string());
    let draft = Draft::new(None, tags, memory.gzip.clone());
    let item = publisher.wallet.sign(&draft).map_err(|error| Failure::internal(&error))?;
    let id = item.id().to_string();
    let sent = publisher.gateways.upload(item.bytes().clone()).await;
    sent.map_err(|error| Failure::unavailable(error.to_string(), 1))?;
    let nonce = memory.at.slot.nonce;
    Ok(Json(json!({ "id": id, "process": process, "nonce": nonce, "bytes": memory.gzip.len() })))
}
