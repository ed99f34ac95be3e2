/* A small JSON reader and writer.
 *
 * The reader is a cursor over text that it may overwrite: a string is unescaped where it stands, so
 * reading allocates nothing. The first mistake sets `bad`, and from then on every call is a no-op, so
 * a caller may check once, at the end. What is skipped is only bracket-matched: the host promises
 * well-formed JSON. Nothing recurses. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes with a length; no final zero. */
typedef struct {
    const char *at;
    size_t len;
} text;

#define TEXT(literal) ((text){(literal), sizeof(literal) - 1})

static inline bool text_is(text a, text b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ---- reading ---- */

typedef struct {
    char *at, *end;
    bool bad;
} json;

static inline int json__peek(json *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
    return j->bad || j->at == j->end ? -1 : (unsigned char)*j->at;
}

static inline bool json__take(json *j, char wanted) {
    if (json__peek(j) != wanted) return false;
    j->at++;
    return true;
}

/* Enters an object or array. True if it has a first entry to read. */
static inline bool json_open(json *j, char bracket) {
    if (!json__take(j, bracket)) {
        j->bad = true;
        return false;
    }
    return !json__take(j, bracket == '{' ? '}' : ']');
}

/* After an entry: true if there is another one to read. */
static inline bool json_more(json *j, char bracket) {
    if (json__take(j, ',')) return true;
    if (!json__take(j, bracket)) j->bad = true;
    return false;
}

static inline int json__hex4(json *j) {
    int code = 0;
    if (j->end - j->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *j->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* The code point of `\uXXXX` after its `u`, pairs joined; -1 for what is not Unicode. */
static inline int32_t json__code_point(json *j) {
    int32_t high = json__hex4(j);
    if (high < 0xd800 || high > 0xdfff) return high;
    if (high > 0xdbff || j->end - j->at < 6 || j->at[0] != '\\' || j->at[1] != 'u') return -1;
    j->at += 2;
    int32_t low = json__hex4(j);
    if (low < 0xdc00 || low > 0xdfff) return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static inline char *json__utf8(char *to, int32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* Reads the escape after a backslash and writes it at `to`, which never overtakes the cursor. */
static inline char *json__escape(json *j, char *to) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char c = j->at < j->end ? *j->at++ : 0;
    const char *found = c ? strchr(names, c) : NULL;
    if (found) {
        *to++ = meant[found - names];
        return to;
    }
    int32_t code = c == 'u' ? json__code_point(j) : -1;
    if (code >= 0) return json__utf8(to, code);
    j->bad = true;
    return to;
}

/* A string, unescaped in place. Empty if it is bad. */
static inline text json_text(json *j) {
    if (!json__take(j, '"')) j->bad = true;
    char *start = j->at, *to = start;
    while (!j->bad) {
        char c = j->at < j->end ? *j->at++ : 0;
        if (c == '"') return (text){start, (size_t)(to - start)};
        if (c == '\\') {
            to = json__escape(j, to);
        } else if ((unsigned char)c < 0x20) {
            j->bad = true;
        } else {
            *to++ = c;
        }
    }
    return (text){start, 0};
}

/* The key of an object's next entry. */
static inline text json_key(json *j) {
    text key = json_text(j);
    if (!json__take(j, ':')) j->bad = true;
    return key;
}

/* Passes over any value. Two runs of one loop: brackets are counted, strings are stepped over. */
static inline void json_skip(json *j) {
    size_t depth = 0;
    if (json__peek(j) < 0) j->bad = true;
    while (j->at < j->end && !j->bad) {
        char c = *j->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) return;
        j->at++;
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        if (c != '"') continue;
        while (j->at < j->end && *j->at != '"') j->at += *j->at == '\\' && j->end - j->at > 1 ? 2 : 1;
        if (j->at == j->end) j->bad = true;
        else j->at++;
    }
    if (depth != 0) j->bad = true;
}

/* True if the whole text was read, without a mistake. */
static inline bool json_done(json *j) { return json__peek(j) == -1 && !j->bad; }

/* ---- writing ---- */

/* A buffer that grows. Reset `len` to use it again. */
typedef struct {
    char *at;
    size_t len, room;
} out;

static inline void out_raw(out *o, const char *bytes, size_t len) {
    if (o->room - o->len < len) {
        size_t room = (o->len + len) * 2;
        o->at = realloc(o->at, room);
        if (!o->at) __builtin_trap();
        o->room = room;
    }
    if (len > 0) memcpy(o->at + o->len, bytes, len);
    o->len += len;
}

static inline void out_text(out *o, text t) { out_raw(o, t.at, t.len); }

/* Decimal digits, with zeros in front up to `width` (at most 40). */
static inline void out_number(out *o, uint64_t number, int width) {
    char digits[40];
    int at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while ((int)sizeof digits - at < width) digits[--at] = '0';
    out_raw(o, digits + at, sizeof digits - (size_t)at);
}

/* The inside of a JSON string, without its quotes, so that a string can be put together. */
static inline void out_escaped(out *o, text t) {
    static const char hex[] = "0123456789abcdef", short_for[] = "\b\t\n\f\r\"\\", name[] = "btnfr\"\\";
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        const char *found = c ? strchr(short_for, c) : NULL;
        if (found) {
            out_raw(o, (char[]){'\\', name[found - short_for]}, 2);
        } else if (c < 0x20) {
            out_raw(o, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        } else {
            out_raw(o, (const char *)&t.at[i], 1);
        }
    }
}

#endif
