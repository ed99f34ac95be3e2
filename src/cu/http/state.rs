//! A process's memory, whole.

use super::{Segment, Shared, answer::header_of, at};
use crate::{
    cu::At,
    disk::{Image, PageError, SectionName, bug},
    http::{Failure, Params},
};
use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};

/// The section that is a machine's linear memory.
const MEMORY: SectionName = SectionName::new("memory");
/// The most bytes of a memory or an image that are sent.
const BYTES_MAX: u64 = 4 << 30;

/// `GET /state/{process}`: the linear memory as the reference gives it, or with `format=image` the whole
/// state as a portable image.
pub(super) async fn state(
    State(face): Shared,
    params: Params,
    path: Segment,
) -> Result<Response, Failure> {
    let Path(process) = path?;
    face.admission.admit(&face.cu, &process).await?;
    let checkpoint = face.cu.image_at(&process, at(&params, At::Latest)?).await?;
    let (image, whole) = (checkpoint.image, params.text("format") == Some("image"));
    let bytes = tokio::task::spawn_blocking(move || bytes(&image, whole)).await;
    let bytes = bytes.map_err(|error| bug!("{error}"))??;
    let headers = [
        ("content-type", header_of("application/octet-stream")),
        ("last-timestamp", header_of(checkpoint.at.timestamp_ms)),
        ("last-ordinate", header_of(checkpoint.at.slot.nonce)),
        ("last-block-height", header_of(checkpoint.at.block_height)),
        (header::ETAG.as_str(), header_of(format!("\"{}\"", bytes.1))),
    ];
    Ok((headers, bytes.0).into_response())
}

/// The bytes, and the root of the state.
fn bytes(image: &Image, whole: bool) -> Result<(Vec<u8>, String), Failure> {
    let root = image.root().to_string();
    let memory = image.pages(&MEMORY).filter(|_| !whole);
    let Some(memory) = memory else {
        let mut bytes = Vec::new();
        image.write_to(&mut bytes)?;
        return Ok((bytes, root));
    };
    let bytes = memory.to_vec(BYTES_MAX).map_err(|error| match error {
        PageError::Host(error) => Failure::from(error),
        error => Failure::too_big(error.to_string()),
    })?;
    Ok((bytes, root))
}
