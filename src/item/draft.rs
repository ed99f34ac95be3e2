//! An item before it is signed.

use super::{
    DataItem, Id, ItemError, Scheme, Tag, deep_hash::Fields, layout::TAG_BYTES_SIGNED_MAX, tags,
};
use bytes::Bytes;

/// What an item will say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Whom it is for.
    pub target: Option<Id>,
    /// 32 bytes of the sender's choice. Where a scheme signs without randomness (Ethereum, ed25519), equal
    /// drafts without one become the same item.
    pub anchor: Option<[u8; 32]>,
    /// Its tags, in order.
    pub tags: Vec<Tag>,
    /// Its payload.
    pub data: Bytes,
}

impl Draft {
    /// A draft to `target` with `tags` and `data`.
    pub fn new(target: Option<Id>, tags: Vec<Tag>, data: impl Into<Bytes>) -> Self {
        Self { target, anchor: None, tags, data: data.into() }
    }

    /// The same with an anchor that no other item has: 32 characters of base64url, since processes are
    /// shown an anchor as text.
    pub fn with_random_anchor(mut self) -> Result<Self, super::WalletError> {
        let mut random = [0; 24];
        getrandom::fill(&mut random)
            .map_err(|error| super::WalletError::Unusable(error.to_string()))?;
        self.anchor = super::b64url(&random).into_bytes().try_into().ok();
        Ok(self)
    }
}

/// The item that `draft` becomes with this owner and signature, if the signature is one of that owner over it.
///
/// For what comes in pieces, as a gateway hands it out: fields here, payload there. The pieces are the item
/// only if the signature says so.
pub fn assemble(draft: &Draft, owner: &[u8], signature: &[u8]) -> Result<DataItem, ItemError> {
    // Two schemes have keys of the same kind, and differ in what is signed.
    let schemes =
        [Scheme::Arweave, Scheme::Ethereum, Scheme::Ed25519, Scheme::Solana, Scheme::TypedEthereum];
    let fitting = schemes.into_iter().filter(|scheme| {
        scheme.owner_len() == owner.len() && scheme.signature_len() == signature.len()
    });
    let mut verdict = ItemError::BadSignature("no scheme has keys of this length".to_owned());
    for scheme in fitting {
        let unsigned = Unsigned { draft, scheme, owner, tags: tags::encode(&draft.tags) };
        let item = unsigned.seal(signature)?;
        match item.verify() {
            Ok(()) => return Ok(item),
            Err(error) => verdict = error,
        }
    }
    Err(verdict)
}

/// A draft as the bytes that are signed.
pub(super) struct Unsigned<'a> {
    draft: &'a Draft,
    scheme: Scheme,
    owner: &'a [u8],
    tags: Vec<u8>,
}

impl<'a> Unsigned<'a> {
    pub(super) fn new(
        draft: &'a Draft,
        scheme: Scheme,
        owner: &'a [u8],
    ) -> Result<Self, ItemError> {
        let unnamed = draft.tags.iter().position(|tag| tag.name.is_empty());
        if let Some(at) = unnamed {
            return Err(ItemError::BadDraft(format!("tag {at} has no name")));
        }
        let tags = tags::encode(&draft.tags);
        if tags.len() > TAG_BYTES_SIGNED_MAX {
            return Err(ItemError::BadDraft(format!(
                "its tags take {} bytes, and at most {TAG_BYTES_SIGNED_MAX} are taken by every reader: put long texts into the data",
                tags.len()
            )));
        }
        Ok(Self { draft, scheme, owner, tags })
    }

    pub(super) fn deep_hash(&self) -> [u8; 48] {
        let Draft { target, anchor, data, .. } = self.draft;
        Fields {
            scheme: &self.scheme.number().to_string(),
            owner: self.owner,
            target: target.as_ref().map_or(&[], |id| id.as_bytes()),
            anchor: anchor.as_ref().map_or(&[], |bytes| bytes.as_slice()),
            tags: &self.tags,
            data,
        }
        .deep_hash()
    }

    pub(super) fn seal(&self, signature: &[u8]) -> Result<DataItem, ItemError> {
        let Draft { target, anchor, tags, data } = self.draft;
        let mut out = Vec::with_capacity(data.len() + self.tags.len() + 1200);
        out.extend_from_slice(&self.scheme.number().to_le_bytes());
        out.extend_from_slice(signature);
        out.extend_from_slice(self.owner);
        for field in [target.as_ref().map(Id::as_bytes), anchor.as_ref()] {
            out.push(u8::from(field.is_some()));
            out.extend(field.into_iter().flatten());
        }
        out.extend_from_slice(&(tags.len() as u64).to_le_bytes());
        out.extend_from_slice(&(self.tags.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.tags);
        out.extend_from_slice(data);
        DataItem::parse(out)
    }
}
