//! The REPL of `drivebay run`: each line is an `Eval` of the owner's.

use super::{
    App,
    error::{self, Exit, usage},
    message,
    print::{self, Style},
    progress::watched,
    session::{Session, Step},
};
use crate::cu::{CuError, VaultError};
use rustyline::{
    Editor, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};
use std::{
    io::{self, Write},
    path::Path,
};

const HELP: &str = "\
Each line is Lua that the process evaluates; it goes on over several lines until its blocks are closed.
  .load FILE   evaluate a file
  .state       where the process stands
  .help        this text
  .exit        leave (as does Ctrl-D); the state is kept
Ctrl-C stops an evaluation and leaves; the state is the one before that line.";

/// Reads and evaluates until the end. `booted` is the process's first step, if it was only now.
pub(crate) fn run(app: &App, session: &mut Session, booted: Option<&Step>) -> anyhow::Result<Exit> {
    let style = Style::new(super::color(&app.config));
    // No process can have this name.
    let history = app.config.data.join(".history");
    let mut editor: Editor<LuaHelper, FileHistory> = Editor::new()?;
    editor.set_helper(Some(LuaHelper));
    // A first run has no history, and a history that cannot be read is no reason to stop.
    let _ = editor.load_history(&history);
    let id = &session.head().process.id;
    writeln!(io::stdout(), "process {id}, slot {}; .help for help", session.head().next)?;
    let mut prompt = match booted {
        Some(step) => print::prompt(step, style),
        None => first_prompt(session, style),
    }
    .unwrap_or_else(|| "drivebay> ".to_owned());
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(Exit::Done),
            Err(failure) => return Err(failure.into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(line.as_str());
        save(&mut editor, &history, app);
        match act(app, session, line.trim(), style) {
            Ok(Next::Leave) => return Ok(Exit::Done),
            Ok(Next::Stay(asked)) => prompt = asked.unwrap_or(prompt),
            Err(failure) if is_fatal(&failure) => return Err(failure),
            Err(failure) => {
                error::report(&failure);
            }
        }
    }
}

/// What a process that goes on asks for as its prompt: a dry-run of nothing tells.
fn first_prompt(session: &mut Session, style: Style) -> Option<String> {
    session.peek(message::eval("nil")).ok().and_then(|step| print::prompt(&step, style))
}

enum Next {
    Leave,
    /// With another prompt, if the process asks for one.
    Stay(Option<String>),
}

fn act(app: &App, session: &mut Session, line: &str, style: Style) -> anyhow::Result<Next> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word {
        ".exit" => return Ok(Next::Leave),
        ".help" => writeln!(io::stdout(), "{HELP}")?,
        ".state" => state(session)?,
        ".load" if rest.trim().is_empty() => return Err(usage(".load needs a file: .load FILE")),
        ".load" => {
            let code = message::file(Path::new(rest.trim()))?;
            return evaluate(app, session, &code, style);
        }
        // No Lua statement starts with a dot.
        _ if word.starts_with('.') => {
            return Err(usage(format!("there is no command {word}; .help lists them")));
        }
        _ => return evaluate(app, session, line, style),
    }
    Ok(Next::Stay(None))
}

fn evaluate(app: &App, session: &mut Session, code: &str, style: Style) -> anyhow::Result<Next> {
    let step = watched(&app.config, || session.send(message::eval(code)))?;
    print::printed(&step);
    print::step(&mut io::stdout().lock(), &step, style)?;
    Ok(Next::Stay(print::prompt(&step, style)))
}

fn state(session: &Session) -> io::Result<()> {
    let (head, image) = (session.head(), session.image());
    let mut out = io::stdout().lock();
    writeln!(out, "process {}\nowner   {}", head.process.id, head.process.owner)?;
    writeln!(out, "module  {} ({})", head.module_path, head.format)?;
    writeln!(out, "next    slot {}, after {} ms", head.next, head.timestamp_ms)?;
    writeln!(out, "root    {}", image.root())
}

/// A history that cannot be kept is worth no word in the middle of a session.
fn save(editor: &mut Editor<LuaHelper, FileHistory>, history: &Path, app: &App) {
    if app.config.data.is_dir() {
        let _ = editor.save_history(history);
    }
}

/// After these the session is not where the folder says it is.
fn is_fatal(failure: &anyhow::Error) -> bool {
    failure.chain().any(|cause| {
        cause.is::<VaultError>() || matches!(cause.downcast_ref(), Some(CuError::Host(_)))
    })
}

/// Decides whether a line is whole. Completes, hints and paints nothing.
pub(crate) struct LuaHelper;

impl Helper for LuaHelper {}

impl Highlighter for LuaHelper {}

impl Hinter for LuaHelper {
    type Hint = String;
}

impl Completer for LuaHelper {
    type Candidate = String;
}

impl Validator for LuaHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        // An empty line at the end asks to send what there is.
        let whole = input.starts_with('.') || input.ends_with('\n') || !is_open(input);
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Whether Lua source has a block, a bracket or a long string that is not closed yet.
fn is_open(source: &str) -> bool {
    let mut rest = source;
    let mut open = 0_i64;
    while let Some(c) = rest.chars().next() {
        let comment = rest.strip_prefix("--");
        if let Some((long, level)) =
            comment.unwrap_or(rest).strip_prefix('[').and_then(long_bracket)
        {
            let Some(after) = skip_past(long, &format!("]{}]", "=".repeat(level))) else {
                return true;
            };
            rest = after;
        } else if let Some(comment) = comment {
            rest = skip_past(comment, "\n").unwrap_or("");
        } else if c == '"' || c == '\'' {
            rest = short_string(rest, c);
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            open += opens(word);
            rest = after;
        } else {
            open +=
                i64::from(matches!(c, '(' | '[' | '{')) - i64::from(matches!(c, ')' | ']' | '}'));
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
    }
    open > 0
}

fn opens(word: &str) -> i64 {
    match word {
        "function" | "do" | "if" | "repeat" => 1,
        "end" | "until" => -1,
        _ => 0,
    }
}

/// What follows the opening bracket of a long string, whose first `[` is taken, and its level.
fn long_bracket(rest: &str) -> Option<(&str, usize)> {
    let body = rest.trim_start_matches('=');
    Some((body.strip_prefix('[')?, rest.len() - body.len()))
}

fn skip_past<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, after)| after)
}

/// What follows a short string. One that is not closed ends with its line, as in Lua.
fn short_string(text: &str, quote: char) -> &str {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote || c == '\n' {
            return text.get(at + c.len_utf8()..).unwrap_or("");
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_brackets_and_long_strings_wait_for_their_end() {
        for open in [
            "function f()",
            "if a then",
            "for i = 1, 2 do print(i)",
            "while true do if x then end",
            "repeat x()",
            "t = {1,",
            "f(",
            "s = [[a",
            "s = [==[ a ]] ]=]",
            "--[[ a comment",
        ] {
            assert!(is_open(open), "{open}");
        }
    }

    #[test]
    fn whole_code_does_not_wait() {
        for whole in [
            "1 + 1",
            "function f() return {1, (2)} end",
            "if a then b() elseif c then d() else e() end",
            "for i = 1, 2 do end",
            "repeat x() until y",
            "s = 'if do function (' .. \"[\"",
            "s = 'it\\'s (' ",
            "-- if then (",
            "s = [==[ a ]] ]==]",
            "t[a[1]] = 2",
            "endif = doing",
            "s = 'not closed (",
            "é = \"ü\"",
        ] {
            assert!(!is_open(whole), "{whole}");
        }
    }
}
