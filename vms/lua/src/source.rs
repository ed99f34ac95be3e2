//! The line of source that an error speaks of, for people.

use crate::bundle::File;

/// `main.lua:3: what went wrong`, and the line itself, if it is one of the module's.
pub(crate) fn with_line(files: &[File], error: &str) -> String {
    match line(files, error) {
        Some((number, text)) => format!("{error}\n  {number} | {text}"),
        None => error.to_owned(),
    }
}

fn line<'a>(files: &'a [File], error: &str) -> Option<(usize, &'a str)> {
    let (file, rest) =
        files.iter().find_map(|file| Some((file, error.strip_prefix(&*file.name)?)))?;
    let rest = rest.strip_prefix(':')?;
    let number: usize = rest.split(':').next()?.parse().ok()?;
    let text = file.text.split(|byte| *byte == b'\n').nth(number.checked_sub(1)?)?;
    let text = std::str::from_utf8(text).ok()?.trim_end();
    (text.len() <= 400).then_some((number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let files = [File { name: "main.lua".into(), text: b"a = 1\n  error('x')\n".to_vec() }];
        assert_eq!(with_line(&files, "main.lua:2: x"), "main.lua:2: x\n  2 |   error('x')");
        assert_eq!(with_line(&files, "main.lua:9: x"), "main.lua:9: x");
        assert_eq!(with_line(&files, "other"), "other");
    }
}
