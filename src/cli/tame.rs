//! Text of others, made safe to show on a terminal.

/// `text` without anything that acts on a terminal. Line breaks and tabs stay, and with `colors` the
/// sequences that choose colours; every other control character and escape sequence goes.
pub(crate) fn tame(text: &str, colors: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut painted = false;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n' && c != '\t') {
        let (plain, control) = rest.split_at(at);
        kept.push_str(plain);
        let (sequence, after) = split_control(control);
        if colors && is_color(sequence) {
            kept.push_str(sequence);
            painted = !matches!(sequence, "\x1b[m" | "\x1b[0m");
        }
        rest = after;
    }
    kept.push_str(rest);
    if painted {
        // What follows is ours.
        kept.push_str("\x1b[0m");
    }
    kept
}

/// The control character or escape sequence that `text` begins with, and what follows. Of a sequence that
/// is not whole it is the first character alone, which disarms the others.
fn split_control(text: &str) -> (&str, &str) {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let bytes = text.as_bytes();
    let end = match bytes {
        [0x1b, b'[', ..] => sequence_end(bytes, 2, 0x20..=0x3f, 0x40..=0x7e),
        [0x1b, b']' | b'P' | b'X' | b'^' | b'_', ..] => string_end(bytes),
        [0x1b, ..] => sequence_end(bytes, 1, 0x20..=0x2f, 0x30..=0x7e),
        _ => None,
    };
    text.split_at_checked(end.unwrap_or(first)).unwrap_or((text, ""))
}

/// Where a sequence ends: any number of bytes in `middle`, then one in `last`.
fn sequence_end(
    bytes: &[u8],
    from: usize,
    middle: std::ops::RangeInclusive<u8>,
    last: std::ops::RangeInclusive<u8>,
) -> Option<usize> {
    let length = bytes.iter().skip(from).take_while(|byte| middle.contains(byte)).count();
    let end = from + length;
    bytes.get(end).filter(|byte| last.contains(byte)).map(|_| end + 1)
}

/// Where a title, a clipboard's content or the like ends: after BEL or ST, or before another sequence.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let at = 2 + bytes.iter().skip(2).position(|byte| matches!(byte, 0x07 | 0x1b))?;
    Some(match bytes.get(at..) {
        Some([0x07, ..]) => at + 1,
        Some([0x1b, b'\\', ..]) => at + 2,
        _ => at,
    })
}

fn is_color(sequence: &str) -> bool {
    let numbers = sequence.strip_prefix("\x1b[").and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|all| all.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_where_there_are_colours() {
        let text = "\x1b[31mred\x1b[0m and \x1b[38;5;7mgrey\x1b[m";
        assert_eq!(tame(text, true), text);
        assert_eq!(tame(text, false), "red and grey");
        assert_eq!(tame("\x1b[31mred", true), "\x1b[31mred\x1b[0m");
    }

    #[test]
    fn nothing_else_acts_on_the_terminal() {
        for (text, left) in [
            ("a\x1b[2Jb", "ab"),
            ("a\x1b[1;1Hb", "ab"),
            ("a\x1b[?25lb", "ab"),
            ("a\x1b[?1mb", "ab"),
            ("a\x1b[>4;2mb", "ab"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
            ("a\x1bPq#0\x1b\\b", "ab"),
            ("a\x1bcb", "ab"),
            ("a\x1b(0b", "ab"),
            ("a\r\x08\u{9b}2Jb\x07", "a2Jb"),
            ("é\x1b", "é"),
            ("a\x1b[12", "a[12"),
            ("a\x1b]0;no end", "a]0;no end"),
            ("a\x1b]0;cut\x1b[2Jb", "ab"),
            ("a\x1b[é", "a[é"),
            ("tab\tand\nline", "tab\tand\nline"),
        ] {
            assert_eq!(tame(text, true), left, "{text:?}");
            assert_eq!(tame(text, false), left, "{text:?}");
        }
    }

    #[test]
    fn text_without_control_characters_is_left_alone() {
        let text = "日本 «ü» 👍 [31m ]0; \\";
        assert_eq!(tame(text, false), text);
    }
}
