//! Paths as text. `.` and `..` are taken out before any look at the tree.

/// The parts of `path` with `.` and `..` taken out. A `..` with nothing before it stays if
/// `above_root`.
pub(crate) fn parts(path: &str, above_root: bool) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut ups = 0usize;
    for part in path.split('/').rev().filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => ups += 1,
            _ if ups > 0 => ups -= 1,
            _ => kept.push(part),
        }
    }
    if above_root {
        kept.extend(std::iter::repeat_n("..", ups));
    }
    kept.reverse();
    kept
}

/// Whether `path` starts at the root.
pub(crate) fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// The shortest spelling of `path`. A slash at its end stays.
pub(crate) fn normalize(path: &str) -> String {
    let absolute = is_absolute(path);
    let mut plain = parts(path, !absolute).join("/");
    if plain.is_empty() && !absolute {
        plain.push('.');
    }
    if !plain.is_empty() && path.ends_with('/') {
        plain.push('/');
    }
    if absolute { format!("/{plain}") } else { plain }
}

/// `path` seen from `dir`.
pub(crate) fn join(dir: &str, path: &str) -> String {
    normalize(&format!("{dir}/{path}"))
}

/// All but the last part, unnormalized.
pub(crate) fn dirname(path: &str) -> &str {
    let bare = path.trim_end_matches('/');
    match bare.rfind('/') {
        _ if bare.is_empty() && !path.is_empty() => "/",
        None => ".",
        Some(0) => "/",
        Some(slash) => bare.get(..slash).unwrap_or("/"),
    }
}

/// The last part after normalizing: `/` for the root itself, empty for a path that only comes to
/// it.
pub(crate) fn basename(path: &str) -> String {
    if path == "/" {
        return path.to_owned();
    }
    let plain = normalize(path);
    let bare = plain.strip_suffix('/').unwrap_or(&plain);
    bare.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The way from one path to another: empty if they are one.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let (from, to) = (parts(from, false), parts(to, false));
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut way = vec![".."; from.len() - same];
    way.extend(to.iter().skip(same));
    way.join("/")
}
