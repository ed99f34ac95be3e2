//! One signed item: its bytes, and where its fields are in them.

use super::{Id, ItemError, Scheme, Tag, address, deep_hash::Fields, layout::Layout, tags, verify};
use bytes::Bytes;
use std::{fmt, ops::Range};

/// A data item. Its bytes are shared, not copied; whether its signature holds is asked by
/// [`DataItem::verify`].
#[derive(Clone)]
pub struct DataItem {
    bytes: Bytes,
    layout: Layout,
    id: Id,
    tags: Vec<Tag>,
}

impl DataItem {
    /// Reads an item. Nothing is verified yet but the shape, and nothing is copied but the tags.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ItemError> {
        let bytes = bytes.into();
        let layout = Layout::read(&bytes)?;
        let section = bytes.get(layout.tags.clone()).unwrap_or_default();
        let tags = tags::decode(section, layout.tag_count)?;
        let id = Id::of(bytes.get(layout.signature.clone()).unwrap_or_default());
        Ok(Self { bytes, layout, id, tags })
    }

    /// Whether the owner signed this content. The salt of an RSA signature may have any length.
    pub fn verify(&self) -> Result<(), ItemError> {
        verify::signature(self.scheme(), self.owner(), &self.deep_hash(), self.signature())
    }

    /// SHA-256 of its signature.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The whole item, as it was signed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How it is signed.
    pub fn scheme(&self) -> Scheme {
        self.layout.scheme
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        self.field(&self.layout.signature)
    }

    /// The signer's key: bytes of which the length depends on the scheme.
    pub fn owner(&self) -> &[u8] {
        self.field(&self.layout.owner)
    }

    /// The signer as a scheduler names it: SHA-256 of the key.
    pub fn owner_address(&self) -> Id {
        address::address(self.owner())
    }

    /// The signer as a process meets it: a checksummed `0x` address for an Ethereum key.
    pub fn ao_address(&self) -> String {
        address::ao_address(self.owner())
    }

    /// Whom it is for.
    pub fn target(&self) -> Option<Id> {
        Id::from_slice(self.field(&self.layout.target))
    }

    /// 32 bytes of the sender's choice.
    pub fn anchor(&self) -> Option<&[u8; 32]> {
        self.field(&self.layout.anchor).try_into().ok()
    }

    /// The anchor as ao's JSON has it: as text, if it is UTF-8.
    pub fn anchor_text(&self) -> Option<&str> {
        std::str::from_utf8(self.anchor()?).ok()
    }

    /// All tags, in order. Names may repeat.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The value of the first tag with exactly this name, as ao's units read tags.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }

    /// The payload.
    pub fn data(&self) -> &[u8] {
        self.field(&self.layout.data)
    }

    /// The payload, sharing the item's bytes.
    pub fn data_bytes(&self) -> Bytes {
        self.bytes.slice(self.layout.data.clone())
    }

    /// Where the payload begins in [`DataItem::bytes`].
    pub fn data_offset(&self) -> usize {
        self.layout.data.start
    }

    /// What the signature is over: SHA-384 of all other fields.
    pub fn deep_hash(&self) -> [u8; 48] {
        let scheme = self.scheme().number().to_string();
        let tags = self.field(&self.layout.tags);
        self.fields(&scheme, self.owner(), tags).deep_hash()
    }

    /// What two items have in common that say the same, whoever signed them and whatever set them off: a
    /// scheduler takes one of them. Tags are sorted, without `Pushed-For`, and the owner is left out.
    pub fn content_hash(&self) -> [u8; 48] {
        let mut sorted: Vec<&Tag> =
            self.tags.iter().filter(|tag| tag.name != "Pushed-For").collect();
        sorted.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        let sorted: Vec<Tag> = sorted.into_iter().cloned().collect();
        self.fields("1", &[], &tags::encode(&sorted)).deep_hash()
    }

    fn fields<'a>(&'a self, scheme: &'a str, owner: &'a [u8], tags: &'a [u8]) -> Fields<'a> {
        let target = self.field(&self.layout.target);
        let anchor = self.field(&self.layout.anchor);
        Fields { scheme, owner, target, anchor, tags, data: self.data() }
    }

    fn field(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for DataItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DataItem");
        shown.field("id", &self.id).field("target", &self.target()).field("tags", &self.tags);
        shown.field("data", &format_args!("{} bytes", self.data().len())).finish()
    }
}

impl PartialEq for DataItem {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for DataItem {}
