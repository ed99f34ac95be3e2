//! What a URL says, or a failure that names what is wrong with it.

use super::Failure;
use axum::{
    extract::{
        FromRequestParts, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use std::{collections::BTreeMap, str::FromStr};

/// The query, by name; the last one counts.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// The text under `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether `name` is there, with or without a text.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The number under `name`. An empty text is none.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse().map_err(|_| {
            Failure::malformed(format!("{name} should be a number, but is {text:?}"))
        })?;
        Ok(Some(number))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Query(params) = Query::from_request_parts(parts, state).await?;
        Ok(Self(params))
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(format!("the query cannot be read: {}", rejection.body_text()))
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(format!("the path cannot be read: {}", rejection.body_text()))
    }
}
