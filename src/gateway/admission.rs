//! Uploads are whole in memory before they are verified, so only so many large ones are let in at a time.
//! Small ones, which are nearly all, never wait for them.

use super::Shared;
use crate::http::Failure;
use axum::{
    body::HttpBody,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Bytes of an upload that is let in at once.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Large uploads at a time.
pub(super) const LARGE_AT_A_TIME: usize = 8;

/// Lets a small upload in; a large one, or one that does not say its length, if there is a place.
pub(super) async fn admitted(
    State(gateway): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let length = request.body().size_hint().exact();
    if length.is_some_and(|length| length <= SMALL_BYTES_MAX) {
        return next.run(request).await;
    }
    match gateway.large.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Failure::unavailable(
            format!("{LARGE_AT_A_TIME} large uploads are under way, and no more are taken at a time; ask again"),
            2,
        )
        .into_response(),
    }
}
