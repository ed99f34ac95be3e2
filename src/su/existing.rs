//! Places for items that are somewhere else already: on the gateway, or in another process's schedule.
//!
//! Asking for the same one again answers with the place it has. A client whose answer was lost may ask
//! again, and no reader of a schedule would evaluate the second one.

use super::{
    Placed, Su, SuError,
    sequencer::{New, NewKind},
};
use crate::{
    disk::{HostError, Resource},
    item::Id,
    net::{Request, Response, transactions_found, transactions_query},
};
use serde_json::Value;

/// Blocks on top of a transaction before it may be assigned, if the process says nothing.
const SETTLEMENT_DEPTH: u64 = 20;
/// Fields that may be left out, and bytes of their names.
const EXCLUDES_MAX: usize = 16;
const EXCLUDE_BYTES_MAX: usize = 64;

/// What is to be assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// To which process.
    pub process: Id,
    /// Which item.
    pub item: Id,
    /// Whether it is a transaction of its own, that must have settled.
    pub base_layer: bool,
    /// Its fields that are left out.
    pub exclude: Vec<String>,
}

impl Su {
    /// Gives an existing item a place in a process.
    pub async fn assign(&self, existing: Existing) -> Result<Placed, SuError> {
        let _under_way = self.under_way.try_acquire().map_err(|_| SuError::Busy)?;
        let Existing { process, item, base_layer, exclude } = existing;
        self.allows(&process)?;
        let long = exclude.iter().any(|field| field.len() > EXCLUDE_BYTES_MAX);
        if exclude.len() > EXCLUDES_MAX || long {
            return Err(SuError::refused(format!(
                "exclude takes at most {EXCLUDES_MAX} names of at most {EXCLUDE_BYTES_MAX} bytes"
            )));
        }
        let Some(start) = self.log.start(&process).await? else {
            return Err(SuError::refused("NotFound(\"Process not found\")"));
        };
        if base_layer {
            let depth = start.item.as_ref().and_then(|item| item.tag("Settlement-Depth"));
            let depth = depth.and_then(|text| text.parse().ok()).unwrap_or(SETTLEMENT_DEPTH);
            self.must_have_settled(&item, depth).await?;
        } else if self.log.entry(&item, None).await?.is_none() {
            self.must_be_published(&item).await?;
        }
        let new = New { kind: NewKind::Existing(exclude), message: item, content: None };
        self.place(process, new).await
    }

    async fn must_be_published(&self, item: &Id) -> Result<(), SuError> {
        let query =
            transactions_query(&self.gateway("", item)?, &format!("ids: [\"{item}\"]"), "id");
        match transactions_found(&self.ask(query, item).await?) {
            Some(found) if found.is_empty() => {
                Err(SuError::refused("Invalid gateway tx for assigning"))
            }
            Some(_) => Ok(()),
            None => Err(unavailable(item)),
        }
    }

    async fn must_have_settled(&self, item: &Id, depth: u64) -> Result<(), SuError> {
        let url = self.gateway(&format!("/tx/{item}/status"), item)?;
        let response = self.ask(Request::get(url), item).await?;
        let confirmations = value(&response, item)
            .ok()
            .and_then(|status| status.get("number_of_confirmations").and_then(Value::as_u64));
        match confirmations {
            Some(blocks) if blocks >= depth => Ok(()),
            Some(_) => Err(SuError::refused("Not enough confirmations to assign")),
            None => Err(SuError::refused("Invalid gateway tx for assigning")),
        }
    }

    /// A process may boot from an item that is there; from no other.
    pub(super) async fn must_exist(&self, id: &str) -> Result<(), SuError> {
        let refused = || SuError::refused("Invalid tx id for On-Boot tag");
        let id: Id = id.parse().map_err(|_| refused())?;
        if self.options.gateway.is_none() {
            return Ok(());
        }
        let url = self.gateway(&format!("/{id}"), &id)?;
        let response = self.ask(Request::head(url), &id).await?;
        response.is_success().then_some(()).ok_or_else(refused)
    }

    fn gateway(&self, path: &str, item: &Id) -> Result<String, SuError> {
        let base = self.options.gateway.as_deref().ok_or_else(|| unavailable(item))?;
        Ok(format!("{}{path}", base.trim_end_matches('/')))
    }

    /// The gateway's answer, unless it is in trouble.
    async fn ask(&self, request: Request, item: &Id) -> Result<Response, SuError> {
        match self.options.transport.call(request).await {
            Ok(response) if response.status < 500 && response.status != 429 => Ok(response),
            Ok(response) => {
                tracing::warn!(status = response.status, %item, "the gateway is in trouble");
                Err(unavailable(item))
            }
            Err(error) => {
                tracing::warn!(%error, %item, "the gateway cannot be asked");
                Err(unavailable(item))
            }
        }
    }
}

fn value(response: &Response, item: &Id) -> Result<Value, SuError> {
    serde_json::from_slice(&response.body).map_err(|_| unavailable(item))
}

fn unavailable(item: &Id) -> SuError {
    HostError::Unavailable { what: Resource::Transaction(item.to_string()) }.into()
}
