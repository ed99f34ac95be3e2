// A small JSON reader and writer.
//
// The reader is a cursor. The first mistake sets `bad`, and from then on nothing more is read, so a
// caller may check once, at the end. What is skipped is only bracket-matched: the host promises
// well-formed JSON. Nothing recurses.

// Character codes, since a one-letter string is an object.
const QUOTE: i32 = 0x22;
const COMMA: i32 = 0x2c;
const COLON: i32 = 0x3a;
const BACKSLASH: i32 = 0x5c;
export const OBJECT: i32 = 0x7b;
export const ARRAY: i32 = 0x5b;
const OBJECT_END: i32 = 0x7d;
const ARRAY_END: i32 = 0x5d;

/** Reads JSON text from front to back. */
export class Reader {
  private at: i32 = 0;
  private bad: bool = false;

  constructor(private text: string) {}

  /** Enters an object or array. True if it has a first entry to read. */
  open(bracket: i32): bool {
    if (!this.take(bracket)) {
      this.bad = true;
      return false;
    }
    return !this.take(bracket + 2);
  }

  /** After an entry: true if there is another one to read. */
  more(bracket: i32): bool {
    if (this.take(COMMA)) return true;
    if (!this.take(bracket + 2)) this.bad = true;
    return false;
  }

  /** The key of an object's next entry. */
  key(): string {
    const key = this.string();
    if (!this.take(COLON)) this.bad = true;
    return key;
  }

  /** A string, unescaped. Empty if it is bad. */
  string(): string {
    if (!this.take(QUOTE)) this.bad = true;
    let whole = "";
    let from = this.at;
    while (!this.bad && this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at++);
      if (code == QUOTE) return whole + this.text.substring(from, this.at - 1);
      if (code < 0x20) break;
      if (code != BACKSLASH) continue;
      whole += this.text.substring(from, this.at - 1) + this.escape();
      from = this.at;
    }
    this.bad = true;
    return "";
  }

  /** Passes over any value. */
  skip(): void {
    let depth = 0;
    if (this.peek() < 0) this.bad = true;
    while (!this.bad && this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      const closes = code == OBJECT_END || code == ARRAY_END;
      if (depth == 0 && (closes || code == COMMA)) return;
      this.at++;
      if (code == OBJECT || code == ARRAY) depth++;
      if (closes) depth--;
      if (code == QUOTE) this.skipString();
    }
    if (depth != 0) this.bad = true;
  }

  /** Marks the text as bad. */
  refuse(): void {
    this.bad = true;
  }

  /** True if the whole text was read, without a mistake. */
  done(): bool {
    return this.peek() == -1 && !this.bad;
  }

  private peek(): i32 {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code != 0x20 && code != 0x09 && code != 0x0a && code != 0x0d) return this.bad ? -1 : code;
      this.at++;
    }
    return -1;
  }

  private take(wanted: i32): bool {
    if (this.peek() != wanted) return false;
    this.at++;
    return true;
  }

  private skipString(): void {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at++);
      if (code == QUOTE) return;
      if (code == BACKSLASH) this.at++;
    }
    this.bad = true;
  }

  /** Reads what follows a backslash. */
  private escape(): string {
    const code = this.at < this.text.length ? this.text.charCodeAt(this.at++) : 0;
    switch (code) {
      case 0x22: return "\"";
      case 0x5c: return "\\";
      case 0x2f: return "/";
      case 0x62: return "\b";
      case 0x66: return "\f";
      case 0x6e: return "\n";
      case 0x72: return "\r";
      case 0x74: return "\t";
      case 0x75: return this.unicode();
    }
    this.bad = true;
    return "";
  }

  /** Reads `\uXXXX` after its `u`. Half a pair is not Unicode, so it is a mistake. */
  private unicode(): string {
    const high = this.hex4();
    if (high < 0xd800 || high > 0xdfff) return this.bad ? "" : String.fromCharCode(high);
    const paired = high < 0xdc00 && this.text.substr(this.at, 2) == "\\u";
    if (paired) this.at += 2;
    const low = paired ? this.hex4() : 0;
    if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(high, low);
    this.bad = true;
    return "";
  }

  private hex4(): i32 {
    let number = 0;
    for (let i = 0; i < 4; i++) {
      const code = this.at < this.text.length ? this.text.charCodeAt(this.at++) : 0;
      const letter = code | 0x20;
      if (code >= 0x30 && code <= 0x39) number = (number << 4) | (code - 0x30);
      else if (letter >= 0x61 && letter <= 0x66) number = (number << 4) | (letter - 0x57);
      else this.bad = true;
    }
    return number;
  }
}

/** A text as a JSON string, with its quotes. */
export function quoted(text: string): string {
  let whole = "\"";
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x20 && code != QUOTE && code != BACKSLASH) continue;
    whole += text.substring(from, i) + escaped(code);
    from = i + 1;
  }
  return whole + text.substring(from) + "\"";
}

function escaped(code: i32): string {
  switch (code) {
    case 0x08: return "\\b";
    case 0x09: return "\\t";
    case 0x0a: return "\\n";
    case 0x0c: return "\\f";
    case 0x0d: return "\\r";
    case QUOTE: return "\\\"";
    case BACKSLASH: return "\\\\";
  }
  return "\\u00" + (code < 0x10 ? "0" : "1") + "0123456789abcdef".charAt(code & 15);
}
