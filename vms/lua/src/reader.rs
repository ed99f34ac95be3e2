//! From a module's bytes to a disk. Nothing is compiled before the first call: compiling costs fuel.

use crate::bundle;
use crate::disk::LuaDisk;
use crate::limits;
use drivebay_disk::{
    ArtifactStore, Digest, Disk, DiskReader, Format, Limits, Module, Process, ReadError, ReaderId,
    Refusal, RefusalCode,
};
use std::slice::from_ref;
use std::sync::Arc;

/// The format: Lua source with `handle(msg, env)`.
pub const FORMAT: &str = "lua-5.3-1";

/// Everything that may change a result: the sources that are compiled into this crate, by their digest, and
/// these words. A change of any of them is a change of rules.
const RULES: &str = "lua-5.3-1: PUC 5.3.6 with the patch and the allow-list of drivebay-lua-sys";

/// Reads Lua.
pub struct LuaReader {
    format: Format,
}

impl Default for LuaReader {
    fn default() -> Self {
        Self { format: Format { name: FORMAT.into(), rules: Digest::of(RULES.as_bytes()) } }
    }
}

impl DiskReader for LuaReader {
    fn id(&self) -> ReaderId {
        let version = format!("{} (Lua 5.3.6, patched)", env!("CARGO_PKG_VERSION"));
        ReaderId { name: "drivebay-lua", version }
    }

    fn formats(&self) -> &[Format] {
        from_ref(&self.format)
    }

    fn read(&self, module: &Module, _: &dyn ArtifactStore) -> Result<Arc<dyn Disk>, ReadError> {
        if module.format != self.format.name {
            let why = format!("unknown format {}; this reader knows {FORMAT}", module.format);
            return Err(Refusal::new(RefusalCode::UnknownFormat, why).into());
        }
        let files = bundle::files(module)?;
        Ok(Arc::new(LuaDisk::new(module, self.format.clone(), files)))
    }

    fn limits(&self, module: &Module, process: &Process) -> Limits {
        limits::limits(module, process)
    }
}
