//! Items by owner, recipient, tags and block. Of several conditions, the one that fewest items meet is
//! walked, newest first, and the others are tried on what it finds: so a common tag costs nothing beside a
//! rare one.

use super::{
    GatewayError,
    shelf::{COLUMNS, Shelf, Stored, to_i64},
};
use crate::item::Id;
use sqlx::{QueryBuilder, Sqlite};

/// How far conditions are counted to compare them.
const COUNTED_MAX: i64 = 500;
/// Bounds of a search.
pub(super) const TAG_FILTERS_MAX: usize = 16;
pub(super) const VALUES_MAX: usize = 1000;

/// A condition on tags: one called `name` has one of `values`; or none has, if `is_not`.
#[derive(Clone, Debug, Default)]
pub(super) struct TagCondition {
    pub(super) name: String,
    pub(super) values: Vec<String>,
    pub(super) is_not: bool,
}

/// What is searched for. All conditions hold together; an absent list is no condition.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pub(super) ids: Option<Vec<Id>>,
    pub(super) owners: Option<Vec<String>>,
    pub(super) recipients: Option<Vec<String>>,
    pub(super) bundles: Option<Vec<Id>>,
    pub(super) tags: Vec<TagCondition>,
    pub(super) min_height: Option<u64>,
    pub(super) max_height: Option<u64>,
    /// The item after which to go on.
    pub(super) after: Option<i64>,
    pub(super) is_ascending: bool,
    pub(super) limit: usize,
}

/// A condition that a search can walk.
#[derive(Clone, Copy)]
enum Walk<'a> {
    Column(&'static str, &'a [String]),
    Tag(&'a TagCondition),
    /// All items.
    All,
}

impl Shelf {
    /// Items in order of their arrival, the newest first unless ascending.
    pub(super) async fn search(&self, search: &Search) -> Result<Vec<Stored>, GatewayError> {
        let walk = self.narrowest(search).await?;
        let mut sql = QueryBuilder::<Sqlite>::new("select ");
        sql.push(COLUMNS);
        match walk {
            Walk::Tag(tag) => {
                // A cross join is walked in the order in which it is written.
                sql.push(" from tags as walked cross join items where items.seq = walked.seq");
                sql.push(" and walked.name = ").push_bind(tag.name.clone());
                sql.push(" and walked.value");
                push_in(&mut sql, &tag.values);
            }
            Walk::Column(..) | Walk::All => {
                sql.push(" from items where true");
            }
        }
        push_conditions(&mut sql, search);
        let walked = if matches!(walk, Walk::Tag(_)) { "walked.seq" } else { "items.seq" };
        if let Some(after) = search.after {
            let beyond = if search.is_ascending { " > " } else { " < " };
            sql.push(" and ").push(walked).push(beyond).push_bind(after);
        }
        // A tag may be there twice.
        sql.push(" group by ").push(walked).push(" order by ").push(walked);
        sql.push(if search.is_ascending { " asc" } else { " desc" });
        sql.push(" limit ").push_bind(i64::try_from(search.limit).unwrap_or(i64::MAX));
        Ok(sql.build_query_as().fetch_all(self.store.reader()).await?)
    }

    async fn narrowest<'a>(&self, search: &'a Search) -> Result<Walk<'a>, GatewayError> {
        if search.ids.is_some() || search.bundles.is_some() {
            return Ok(Walk::All);
        }
        let columns = [("owner", &search.owners), ("recipient", &search.recipients)];
        let columns = columns
            .into_iter()
            .filter_map(|(name, list)| Some(Walk::Column(name, list.as_deref()?)));
        let tags = search.tags.iter().filter(|tag| !tag.is_not).map(Walk::Tag);
        let walks: Vec<Walk<'_>> = columns.chain(tags).collect();
        if let [walk] = walks.as_slice() {
            return Ok(*walk);
        }
        let mut narrowest = (i64::MAX, Walk::All);
        for walk in walks {
            let count = self.count(walk).await?;
            if count < narrowest.0 {
                narrowest = (count, walk);
            }
        }
        Ok(narrowest.1)
    }

    async fn count(&self, walk: Walk<'_>) -> Result<i64, GatewayError> {
        let mut sql = QueryBuilder::<Sqlite>::new("select count(*) from (select 1 from ");
        match walk {
            Walk::All => return Ok(COUNTED_MAX),
            Walk::Column(name, values) => {
                sql.push("items where ").push(name);
                push_in(&mut sql, values);
            }
            Walk::Tag(tag) => {
                sql.push("tags where name = ").push_bind(tag.name.clone()).push(" and value");
                push_in(&mut sql, &tag.values);
            }
        }
        sql.push(" limit ").push_bind(COUNTED_MAX).push(") as counted");
        Ok(sql.build_query_scalar().fetch_one(self.store.reader()).await?)
    }
}

fn push_conditions(sql: &mut QueryBuilder<Sqlite>, search: &Search) {
    for (column, ids) in [("items.id", &search.ids), ("items.bundled_in", &search.bundles)] {
        if let Some(ids) = ids {
            let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
            sql.push(" and ").push(column);
            push_in(sql, &ids);
        }
    }
    let texts = [("items.owner", &search.owners), ("items.recipient", &search.recipients)];
    for (column, list) in texts {
        if let Some(list) = list {
            sql.push(" and ").push(column);
            push_in(sql, list);
        }
    }
    for (sign, height) in [(" >= ", search.min_height), (" <= ", search.max_height)] {
        if let Some(height) = height {
            sql.push(" and items.height").push(sign).push_bind(to_i64(height));
        }
    }
    for tag in &search.tags {
        sql.push(if tag.is_not { " and not exists (" } else { " and exists (" });
        sql.push("select 1 from tags where tags.seq = items.seq and tags.name = ");
        sql.push_bind(tag.name.clone()).push(" and tags.value");
        push_in(sql, &tag.values);
        sql.push(")");
    }
}

/// ` in (…)`, which no value meets if there is none.
fn push_in<T>(sql: &mut QueryBuilder<Sqlite>, values: &[T])
where
    T: Clone + Send + 'static + sqlx::Type<Sqlite> + for<'q> sqlx::Encode<'q, Sqlite>,
{
    // An index is walked in order for one value.
    if let [value] = values {
        sql.push(" = ").push_bind(value.clone());
        return;
    }
    sql.push(" in (");
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
    sql.push(")");
}
