//! A module that was read: its files, and the state before the first call, which is no world at all.

use crate::bundle::File;
use crate::drive::LuaDrive;
use crate::raw::{Convention, Undecoded, World};
use drivebay_disk::{
    Digest, Disk, DiskId, Drive, Format, Header, HostError, Image, Module, MountError, PageError,
    Pages, Refusal, RefusalCode, SectionName, bug,
};
use std::sync::Arc;

/// The world as bytes; empty before the first call.
pub(crate) const WORLD: SectionName = SectionName::new("world");
/// Largest image of a world that is mounted.
const WORLD_BYTES: u64 = 4 << 30;

/// A Lua module.
pub(crate) struct LuaDisk {
    id: DiskId,
    format: Format,
    header: Header,
    blank: Image,
    pub(crate) files: Vec<File>,
    pub(crate) convention: Convention,
}

impl LuaDisk {
    pub(crate) fn new(
        module: &Module,
        format: Format,
        files: Vec<File>,
        convention: Convention,
    ) -> Self {
        let header = Header { module: module.id, state: format.name.clone() };
        let blank = Image::new(header.clone()).with(WORLD, Pages::new(0));
        let name = format.name.as_str().as_bytes();
        let parts: [&[u8]; 3] = [&module.id.0, name, &format.rules.0];
        let id = DiskId(Digest::of_parts("drivebay-lua disk", &parts));
        Self { id, format, header, blank, files, convention }
    }

    /// An image of a world's bytes.
    pub(crate) fn image(&self, world: &[u8]) -> Image {
        Image::new(self.header.clone()).with(WORLD, Pages::from_bytes(world))
    }

    fn world_of(&self, image: &Image) -> Result<Option<World>, MountError> {
        let wrong = |why: String| Refusal::new(RefusalCode::WrongImage, why);
        if image.header() != &self.header {
            return Err(wrong("an image of another module or format".into()).into());
        }
        let Some(pages) = image.pages(&WORLD).filter(|_| image.sections().len() == 1) else {
            return Err(wrong(format!("the sections of an image are: {}", WORLD.as_str())).into());
        };
        if pages.len_bytes() == 0 {
            return Ok(None);
        }
        let len = pages.len_bytes();
        let Some(len) = usize::try_from(len).ok().filter(|_| len <= WORLD_BYTES) else {
            return Err(Refusal::new(RefusalCode::TooBig, "a world over 4 GiB").into());
        };
        let fill = |bytes: &mut [u8]| {
            pages.read(0, bytes).map_err(|error| match error {
                PageError::OutOfRange { .. } => bug!("an image's pages: {error}"),
                PageError::Host(error) => error,
            })
        };
        match World::decode(len, fill) {
            Ok(world) => Ok(Some(world)),
            Err(Undecoded::Host(error)) => Err(error.into()),
            Err(Undecoded::Refused(why)) => Err(wrong(format!("no world: {why}")).into()),
        }
    }

    /// A drive in the state of `image`.
    pub(crate) fn drive(self: Arc<Self>, image: &Image) -> Result<LuaDrive, MountError> {
        let world = self.world_of(image)?;
        Ok(LuaDrive::new(self, world))
    }
}

impl Disk for LuaDisk {
    fn id(&self) -> DiskId {
        self.id
    }

    fn format(&self) -> &Format {
        &self.format
    }

    fn blank(&self) -> &Image {
        &self.blank
    }

    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        Ok(Box::new(self.drive(image)?))
    }
}

/// A refusal of one's own image is nobody's mistake but ours.
pub(crate) fn own(error: MountError) -> HostError {
    match error {
        MountError::Host(error) => error,
        MountError::Refused(refusal) => bug!("its own image: {refusal}"),
    }
}
