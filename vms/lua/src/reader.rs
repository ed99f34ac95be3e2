//! From a module's bytes to a disk. Nothing is compiled before the first call: compiling costs fuel.

use crate::bundle;
use crate::disk::LuaDisk;
use crate::limits;
use crate::raw::Convention;
use drivebay_disk::{
    ArtifactStore, Digest, Disk, DiskReader, Format, Limits, Module, Process, ReadError, ReaderId,
    Refusal, RefusalCode,
};
use std::sync::Arc;

/// The format: Lua source with `handle(msg, env)`.
pub const FORMAT: &str = "lua-5.3-1";
/// HyperBEAM's: Lua source with `compute(base, req, opts)`.
pub const HYPERBEAM_FORMAT: &str = "application/lua";

/// Everything that may change a result: the Lua that is patched, what work costs, what is ours in every world, and
/// these words. A change of any of them is a change of rules.
fn rules(name: &str) -> Digest {
    let parts: [&[u8]; 6] = [
        name.as_bytes(),
        b"PUC 5.3.6 with the patch and the allow-list of drivebay-lua-sys",
        drivebay_lua_sys::COSTS.as_bytes(),
        include_bytes!("prelude.lua"),
        include_bytes!("crypto.lua"),
        include_bytes!("hyperbeam.lua"),
    ];
    Digest::of_parts("drivebay-lua rules", &parts)
}

/// Reads Lua.
pub struct LuaReader {
    formats: [Format; 2],
}

impl Default for LuaReader {
    fn default() -> Self {
        let format = |name: &str| Format { name: name.into(), rules: rules(name) };
        Self { formats: [FORMAT, HYPERBEAM_FORMAT].map(format) }
    }
}

impl DiskReader for LuaReader {
    fn id(&self) -> ReaderId {
        let version = format!("{} (Lua 5.3.6, patched)", env!("CARGO_PKG_VERSION"));
        ReaderId { name: "drivebay-lua", version }
    }

    fn formats(&self) -> &[Format] {
        &self.formats
    }

    fn read(&self, module: &Module, _: &dyn ArtifactStore) -> Result<Arc<dyn Disk>, ReadError> {
        let Some(format) = self.formats.iter().find(|format| format.name == module.format) else {
            let why = format!(
                "unknown format {}; this reader knows {FORMAT} and {HYPERBEAM_FORMAT}",
                module.format
            );
            return Err(Refusal::new(RefusalCode::UnknownFormat, why).into());
        };
        let convention = match format.name.as_str() {
            FORMAT => Convention::Handle,
            _ => Convention::Compute,
        };
        let files = bundle::files(module)?;
        Ok(Arc::new(LuaDisk::new(module, format.clone(), files, convention)))
    }

    fn limits(&self, module: &Module, process: &Process) -> Limits {
        limits::limits(module, process)
    }
}
