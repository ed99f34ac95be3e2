//! Errors to statuses, in one place. A refusal is the sender's, and says what to change; a host error is
//! ours: it says when to come back, or under which id the log has more.

use crate::disk::{HostError, Refusal, RefusalCode};
use axum::{
    Json,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::json;

/// What a client is told instead of what it asked for: a status and `{"error": text}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    text: String,
    retry_after: Option<u32>,
}

impl Failure {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// 400: the request is wrong as it is.
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 403: this unit does not do this for that one.
    pub fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// 404: nobody knows it here.
    pub fn unknown(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// 413: more bytes than allowed.
    pub fn too_big(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// 422: understood, and refused.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// 429: too often.
    pub fn limited(text: impl Into<String>, retry_after_s: u32) -> Self {
        let retry_after = Some(retry_after_s);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, text) }
    }

    /// 503: the same request may succeed later.
    pub fn unavailable(text: impl Into<String>, retry_after_s: u32) -> Self {
        let retry_after = Some(retry_after_s);
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    /// 500: ours. The error goes to the log, under an id that the client is told.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        let id = log_id();
        tracing::error!(id, %error, "a request failed for a reason of ours");
        let text = format!("this unit failed; its log has more under {id}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What a person reads.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.text }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            RefusalCode::Malformed => StatusCode::BAD_REQUEST,
            RefusalCode::TooBig => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.note.as_str())
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unavailable { .. } | HostError::Exhausted { .. } => {
                Self::unavailable(error.to_string(), 1)
            }
            _ => Self::internal(&error),
        }
    }
}

/// Eight random bytes, in hex: nobody guesses them, and nothing depends on them.
fn log_id() -> String {
    let mut bytes = [0; 8];
    // Without chance, ids repeat; the log stays readable by its times.
    _ = getrandom::fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

/// A request's whole body, within the unit's limit.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Bytes::from_request(request, state).await.map(Body).map_err(|rejection| {
            let text = body_text(&rejection);
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    Failure::too_big("the body is larger than this unit allows; send less")
                }
                _ => Failure::malformed(text),
            }
        })
    }
}

fn body_text(rejection: &BytesRejection) -> String {
    format!("the body could not be read: {}", rejection.body_text())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_status() {
        let refused = |code| Failure::from(Refusal::new(code, "no")).status().as_u16();
        assert_eq!(refused(RefusalCode::Malformed), 400);
        assert_eq!(refused(RefusalCode::TooBig), 413);
        assert_eq!(refused(RefusalCode::UnknownFormat), 422);
        let gone = HostError::Exhausted { what: "memory" };
        assert_eq!(Failure::from(gone).status().as_u16(), 503);
        let broken = Failure::from(HostError::io("reading", std::io::Error::other("secret path")));
        assert_eq!(broken.status().as_u16(), 500);
        assert!(!broken.text().contains("secret"), "{broken:?}");
    }

    #[test]
    fn who_may_come_back_is_told_when() {
        let response = Failure::unavailable("later", 3).into_response();
        assert_eq!(response.headers().get("retry-after").unwrap(), "3");
    }
}
