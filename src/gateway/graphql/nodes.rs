//! What is answered.

use super::super::{Block, Shared, Stored};
use crate::item::b64url;
use async_graphql::{Context, Object, Result, SimpleObject};

/// A page of items.
pub(in crate::gateway) struct Connection {
    pub(super) has_next_page: bool,
    pub(super) found: Vec<Stored>,
}

/// Whether there is more.
#[derive(SimpleObject)]
pub(in crate::gateway) struct PageInfo {
    has_next_page: bool,
}

/// An item of a page, and how to go on after it.
#[derive(SimpleObject)]
pub(in crate::gateway) struct Edge {
    cursor: String,
    node: Transaction,
}

#[Object(name = "TransactionConnection")]
impl Connection {
    async fn page_info(&self) -> PageInfo {
        PageInfo { has_next_page: self.has_next_page }
    }

    async fn edges(&self) -> Vec<Edge> {
        let edge = |stored: &Stored| Edge {
            cursor: stored.seq.to_string(),
            node: Transaction(stored.clone()),
        };
        self.found.iter().map(edge).collect()
    }
}

/// An item.
pub(in crate::gateway) struct Transaction(pub(super) Stored);

/// A name and a value.
#[derive(SimpleObject)]
pub(in crate::gateway) struct Tag {
    name: String,
    value: String,
}

/// Who signed an item.
#[derive(SimpleObject)]
pub(in crate::gateway) struct Owner {
    address: String,
    key: String,
}

/// Length and kind of a payload.
#[derive(SimpleObject)]
pub(in crate::gateway) struct MetaData {
    size: String,
    r#type: Option<String>,
}

/// Money. Data items carry none.
#[derive(SimpleObject)]
pub(in crate::gateway) struct Amount {
    winston: &'static str,
    ar: &'static str,
}

/// An item that holds this one.
#[derive(SimpleObject)]
pub(in crate::gateway) struct Holder {
    id: String,
}

const NONE: Amount = Amount { winston: "0", ar: "0.000000000000" };

#[Object]
impl Transaction {
    async fn id(&self) -> String {
        self.0.head.id().to_string()
    }

    async fn anchor(&self) -> String {
        self.0.head.anchor().map(|anchor| b64url(anchor)).unwrap_or_default()
    }

    async fn signature(&self) -> String {
        b64url(self.0.head.signature())
    }

    async fn recipient(&self) -> String {
        self.0.head.target().map(|target| target.to_string()).unwrap_or_default()
    }

    async fn owner(&self) -> Owner {
        let head = &self.0.head;
        Owner { address: head.owner_address().to_string(), key: b64url(head.owner()) }
    }

    async fn tags(&self) -> Vec<Tag> {
        let tag = |tag: &crate::item::Tag| Tag { name: tag.name.clone(), value: tag.value.clone() };
        self.0.head.tags().iter().map(tag).collect()
    }

    async fn block(&self, ctx: &Context<'_>) -> Result<Option<BlockNode>> {
        Ok(ctx.data::<Shared>()?.blocks.at(self.0.height).map(BlockNode))
    }

    async fn data(&self) -> MetaData {
        let kind = self.0.head.tag("Content-Type").map(str::to_owned);
        MetaData { size: self.0.data_size.to_string(), r#type: kind }
    }

    async fn fee(&self) -> Amount {
        NONE
    }

    async fn quantity(&self) -> Amount {
        NONE
    }

    async fn bundled_in(&self) -> Option<Holder> {
        self.0.bundled_in.map(|id| Holder { id: id.to_string() })
    }

    async fn parent(&self) -> Option<Holder> {
        self.0.bundled_in.map(|id| Holder { id: id.to_string() })
    }
}

/// A page of blocks.
pub(in crate::gateway) struct BlockConnection {
    pub(super) has_next_page: bool,
    pub(super) found: Vec<Block>,
}

/// A block of a page, and how to go on after it.
#[derive(SimpleObject)]
pub(in crate::gateway) struct BlockEdge {
    cursor: String,
    node: BlockNode,
}

#[Object]
impl BlockConnection {
    async fn page_info(&self) -> PageInfo {
        PageInfo { has_next_page: self.has_next_page }
    }

    async fn edges(&self) -> Vec<BlockEdge> {
        let edge = |block: &Block| BlockEdge {
            cursor: block.height.to_string(),
            node: BlockNode(block.clone()),
        };
        self.found.iter().map(edge).collect()
    }
}

/// A block.
pub(in crate::gateway) struct BlockNode(pub(super) Block);

#[Object(name = "Block")]
impl BlockNode {
    async fn id(&self) -> &str {
        &self.0.id
    }

    /// In seconds.
    async fn timestamp(&self) -> u64 {
        self.0.timestamp_s
    }

    async fn height(&self) -> u64 {
        self.0.height
    }

    async fn previous(&self) -> &str {
        &self.0.previous
    }
}
