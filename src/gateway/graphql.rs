//! GraphQL over the index: the schema of Arweave's gateways, as far as there is something to say.
//!
//! Bounds: the number of rows by `first`, the shape of a query by its depth and complexity, its lists by
//! [`index`](super::index). An id that is unknown, or is none, gives no edge and no error, as there.

mod filters;
mod nodes;

use super::{
    Gateway, GatewayError, Shared,
    index::{Search, TAG_FILTERS_MAX, TagCondition, VALUES_MAX},
};
use crate::{http::Failure, item::Id, store::StoreError};
use async_graphql::{
    Context, EmptyMutation, EmptySubscription, Error, ErrorExtensions, ID, Object, Request, Result,
};
use filters::{BlockFilter, SortOrder, TagFilter, TagOperator};
use nodes::{BlockConnection, BlockNode, Connection, Transaction};
use serde_json::Value;

/// Rows of a page: if nothing is said, and at most.
const FIRST: i32 = 10;
const FIRST_MAX: i32 = 1000;
const DEPTH_MAX: usize = 12;
const COMPLEXITY_MAX: usize = 600;
/// What a search counts for beside the fields that are asked of it: few fit one query.
const SEARCH_COMPLEXITY: usize = 60;
/// Marks an error that is ours: asking again may help.
const OURS: &str = "UNAVAILABLE";

pub(super) type Schema = async_graphql::Schema<Query, EmptyMutation, EmptySubscription>;

pub(super) fn schema() -> Schema {
    Schema::build(Query, EmptyMutation, EmptySubscription)
        .limit_depth(DEPTH_MAX)
        .limit_complexity(COMPLEXITY_MAX)
        .finish()
}

/// The answer to a request, errors of whoever asks included; a failure if the error is ours.
pub(super) async fn execute(gateway: &Shared, request: Request) -> Result<Value, Failure> {
    let response = gateway.schema.execute(request.data(Shared::clone(gateway))).await;
    let is_ours = |error: &&async_graphql::ServerError| {
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        code == Some(&async_graphql::Value::from(OURS))
    };
    if let Some(error) = response.errors.iter().find(is_ours) {
        return Err(Failure::internal(&error.message));
    }
    serde_json::to_value(&response).map_err(|error| Failure::internal(&error))
}

/// The root of all queries.
pub(super) struct Query;

/// What `transactions` is asked for, apart from the page.
#[derive(Default)]
struct Conditions {
    ids: Option<Vec<ID>>,
    owners: Option<Vec<String>>,
    recipients: Option<Vec<String>>,
    bundled_in: Option<Vec<ID>>,
    tags: Option<Vec<TagFilter>>,
    block: Option<BlockFilter>,
}

#[Object]
impl Query {
    /// One item.
    #[graphql(complexity = "SEARCH_COMPLEXITY + child_complexity")]
    async fn transaction(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Transaction>> {
        let gateway = ctx.data::<Shared>()?;
        let Ok(id) = id.parse::<Id>() else { return Ok(None) };
        let found = gateway.find(&id).await.map_err(told)?;
        Ok(found.map(Transaction))
    }

    /// Items that meet all conditions, the newest first.
    #[graphql(complexity = "SEARCH_COMPLEXITY + child_complexity")]
    #[allow(clippy::too_many_arguments, reason = "the arguments of the network's schema")]
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        ids: Option<Vec<ID>>,
        owners: Option<Vec<String>>,
        recipients: Option<Vec<String>>,
        bundled_in: Option<Vec<ID>>,
        tags: Option<Vec<TagFilter>>,
        block: Option<BlockFilter>,
        first: Option<i32>,
        after: Option<String>,
        sort: Option<SortOrder>,
    ) -> Result<Connection> {
        let conditions = Conditions { ids, owners, recipients, bundled_in, tags, block };
        let mut search = conditions.search()?;
        search.is_ascending = sort == Some(SortOrder::HeightAsc);
        search.after = cursor(after)?;
        let first = page(first)?;
        search.limit = first + 1;
        let mut found = ctx.data::<Shared>()?.shelf.search(&search).await.map_err(told)?;
        let has_next_page = found.len() > first;
        found.truncate(first);
        Ok(Connection { has_next_page, found })
    }

    /// One block, by its id, or the newest.
    async fn block(&self, ctx: &Context<'_>, id: Option<String>) -> Result<Option<BlockNode>> {
        let blocks = &ctx.data::<Shared>()?.blocks;
        let block = match id {
            Some(id) => blocks.with_id(&id),
            None => blocks.at(blocks.height()),
        };
        Ok(block.map(BlockNode))
    }

    /// Blocks in order, the newest first.
    #[graphql(complexity = "SEARCH_COMPLEXITY + child_complexity")]
    async fn blocks(
        &self,
        ctx: &Context<'_>,
        ids: Option<Vec<ID>>,
        height: Option<BlockFilter>,
        first: Option<i32>,
        after: Option<String>,
        sort: Option<SortOrder>,
    ) -> Result<BlockConnection> {
        let (first, after) = (page(first)?, cursor(after)?);
        let gateway = ctx.data::<Shared>()?;
        if let Some(ids) = ids {
            bounded("ids", ids.len())?;
            let found =
                ids.iter().filter_map(|id| gateway.blocks.with_id(id)).take(first).collect();
            return Ok(BlockConnection { has_next_page: false, found });
        }
        let (low, high) = bounds(gateway, height.unwrap_or_default(), after, sort);
        let count = first as u64;
        let heights: Vec<u64> = match sort == Some(SortOrder::HeightAsc) {
            true => (low..=high).take(first).collect(),
            false => (low..=high).rev().take(first).collect(),
        };
        let has_next_page = (high + 1).saturating_sub(low) > count;
        let found = heights.into_iter().filter_map(|height| gateway.blocks.at(height)).collect();
        Ok(BlockConnection { has_next_page, found })
    }
}

/// The lowest and the highest block that a page may begin and end with.
fn bounds(
    gateway: &Gateway,
    height: BlockFilter,
    after: Option<i64>,
    sort: Option<SortOrder>,
) -> (u64, u64) {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let mut low = gateway.blocks.start().max(height.min.map(unsigned).unwrap_or_default());
    let mut high = gateway.height().min(height.max.map_or(u64::MAX, unsigned));
    if let Some(after) = after.map(unsigned) {
        match sort == Some(SortOrder::HeightAsc) {
            true => low = low.max(after.saturating_add(1)),
            false => high = high.min(after.saturating_sub(1)),
        }
    }
    (low, high)
}

impl Conditions {
    fn search(self) -> Result<Search> {
        let tags = self.tags.unwrap_or_default();
        if tags.len() > TAG_FILTERS_MAX {
            return Err(Error::new(format!(
                "there are {} tag filters, and at most {TAG_FILTERS_MAX} are searched at once",
                tags.len()
            )));
        }
        let lists = [
            ("ids", self.ids.as_ref().map_or(0, Vec::len)),
            ("owners", self.owners.as_ref().map_or(0, Vec::len)),
            ("recipients", self.recipients.as_ref().map_or(0, Vec::len)),
            ("bundledIn", self.bundled_in.as_ref().map_or(0, Vec::len)),
            ("tag values", tags.iter().map(|tag| tag.values.len()).sum()),
        ];
        lists.iter().try_for_each(|(name, length)| bounded(name, *length))?;
        let block = self.block.unwrap_or_default();
        let height = |height: Option<i64>| height.map(|n| u64::try_from(n).unwrap_or_default());
        Ok(Search {
            ids: self.ids.map(known_ids),
            owners: self.owners,
            recipients: self.recipients,
            bundles: self.bundled_in.map(known_ids),
            tags: tags.into_iter().map(TagCondition::from).collect(),
            min_height: height(block.min),
            max_height: height(block.max),
            ..Search::default()
        })
    }
}

impl From<TagFilter> for TagCondition {
    fn from(filter: TagFilter) -> Self {
        let TagFilter { name, values, op } = filter;
        Self { name, values, is_not: op == Some(TagOperator::Neq) }
    }
}

/// What is no id names nothing.
fn known_ids(ids: Vec<ID>) -> Vec<Id> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

fn bounded(name: &str, length: usize) -> Result<()> {
    match length > VALUES_MAX {
        true => {
            Err(Error::new(format!("{name}: {length} values, and at most {VALUES_MAX} are taken")))
        }
        false => Ok(()),
    }
}

fn page(first: Option<i32>) -> Result<usize> {
    let first = first.unwrap_or(FIRST);
    let count = usize::try_from(first).ok().filter(|_| first <= FIRST_MAX);
    count.ok_or_else(|| Error::new(format!("first is {first}, and must be from 0 to {FIRST_MAX}")))
}

/// The place that a cursor names. An empty one is the beginning.
fn cursor(after: Option<String>) -> Result<Option<i64>> {
    let Some(text) = after.filter(|text| !text.is_empty()) else { return Ok(None) };
    let place = text.parse();
    place.map(Some).map_err(|_| Error::new(format!("{text:?} is no cursor of this gateway")))
}

fn told(error: GatewayError) -> Error {
    match error {
        GatewayError::Item(_) | GatewayError::Refused(_) => Error::new(error.to_string()),
        GatewayError::Store(StoreError::Closed)
        | GatewayError::Store(_)
        | GatewayError::File { .. } => {
            Error::new(error.to_string()).extend_with(|_, extensions| extensions.set("code", OURS))
        }
    }
}
