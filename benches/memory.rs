//! Memory of this process, as Linux counts it.

/// Memory of this process in MB: its own pages, and those of files in memory that nobody else has.
pub(crate) fn resident_mb() -> u64 {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let own = own.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    own * 1024 / 1_000_000 + in_files() / 1_000_000
}

/// Bytes of the files in memory that this process holds open.
fn in_files() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let is_memory = |path: &std::path::Path| {
        std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"))
    };
    open.map(|entry| entry.path())
        .filter(|path| is_memory(path))
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|file| file.blocks() * 512)
        .sum()
}
