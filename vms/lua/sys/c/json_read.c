/* JSON as the json.lua of aos reads it: the same results, the same refusals, natively. Nesting takes room on Lua's
** stack alone. */
#include "dbay.h"

#define LEVELS 2  /* of open tables, on the stack: the table, and the last index or the key */

typedef struct In {
  lua_State *L;
  const char *s, *p, *end;
  int depth;
} In;

/* "WHY" or "WHY 'word'MORE", and where. */
static l_noret bad (In *in, const char *at, const char *why, const char *word, size_t n, const char *more) {
  lua_State *L = in->L;
  int line = 1, column = 1;
  const char *q;
  dbay_charge(L, (size_t)(at - in->s) / COST_JSON_ERROR_TEXT);
  for (q = in->s; q < at; q++) {
    column++;
    if (q < in->end && *q == '\n') {
      line++;
      column = 1;
    }
  }
  luaL_where(L, 1);
  lua_pushstring(L, why);
  if (word != NULL) {
    lua_pushliteral(L, " '");
    lua_pushlstring(L, word, n);
    lua_pushfstring(L, "'%s", more);
    lua_concat(L, 4);
  }
  lua_pushfstring(L, " at line %d col %d", line, column);
  lua_concat(L, 3);
  lua_error(L);
  abort();  /* not reached */
}

static int isspace_ (char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static int isdelim (char c) { return isspace_(c) || c == ']' || c == '}' || c == ','; }
static int is (const In *in, char c) { return in->p < in->end && *in->p == c; }

static void space (In *in) {
  const char *from = in->p;
  while (in->p < in->end && isspace_(*in->p)) in->p++;
  if (in->p - from >= COST_JSON_TEXT) dbay_charge(in->L, (size_t)(in->p - from) / COST_JSON_TEXT);
}

/* To the end of a number or a word; its length. */
static size_t toend (In *in) {
  const char *from = in->p;
  while (in->p < in->end && !isdelim(*in->p)) in->p++;
  return (size_t)(in->p - from);
}

static int hex4 (const char *p, const char *end, unsigned *out) {
  int i;
  *out = 0;
  if (end - p < 4) return 0;
  for (i = 0; i < 4; i++) {
    unsigned c = (unsigned char)p[i];
    unsigned d = c - '0' < 10 ? c - '0' : (c | 32) - 'a' < 6 ? (c | 32) - 'a' + 10 : 99;
    if (d == 99) return 0;
    *out = *out << 4 | d;
  }
  return 1;
}

static size_t utf8 (char *to, unsigned c) {
  if (c < 0x80) { to[0] = (char)c; return 1; }
  if (c < 0x800) { to[0] = (char)(0xc0 | c >> 6); to[1] = (char)(0x80 | (c & 63)); return 2; }
  if (c < 0x10000) {
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 63));
    to[2] = (char)(0x80 | (c & 63));
    return 3;
  }
  to[0] = (char)(0xf0 | c >> 18);
  to[1] = (char)(0x80 | (c >> 12 & 63));
  to[2] = (char)(0x80 | (c >> 6 & 63));
  to[3] = (char)(0x80 | (c & 63));
  return 4;
}

/* At an escape; writes what it stands for, which is shorter, and goes past it. */
static size_t escape (In *in, char *to) {
  static const char from[] = "\"\\/bfnrt", stands[] = "\"\\/\b\f\n\r\t";
  const char *at = in->p, *found;
  unsigned c, low;
  size_t have = in->p + 1 < in->end;
  char e = have ? in->p[1] : 0;
  if (e == 'u') {
    if (!hex4(in->p + 2, in->end, &c)) bad(in, at, "invalid unicode escape in string", NULL, 0, NULL);
    in->p += 6;
    /* the second half of a pair may be any four digits */
    if (c >= 0xd800 && c < 0xdc00 && in->end - in->p >= 6 && in->p[0] == '\\' && in->p[1] == 'u' &&
        hex4(in->p + 2, in->end, &low)) {
      in->p += 6;
      c = (c - 0xd800) * 0x400 + low - 0xdc00 + 0x10000;
      if (c > 0x10ffff) luaL_error(in->L, "invalid unicode codepoint '%s'",
          lua_pushfstring(in->L, "11%c%c%c%c", "0123456789abcdef"[c >> 12 & 15],
              "0123456789abcdef"[c >> 8 & 15], "0123456789abcdef"[c >> 4 & 15], "0123456789abcdef"[c & 15]));
    }
    return utf8(to, c);
  }
  found = e != 0 ? strchr(from, e) : NULL;
  if (found == NULL) bad(in, at, "invalid escape char", in->p + 1, have, " in string");
  in->p += 2;
  to[0] = stands[found - from];
  return 1;
}

/* What is between here and 'q', with escapes; it is only checked if there is no 'to'. */
static size_t unescape (In *in, const char *q, char *to) {
  char some[4];
  size_t n = 0;
  while (in->p < q) {
    if (*in->p == '\\') n += escape(in, to != NULL ? to + n : some);
    else {
      if (to != NULL) to[n] = *in->p;
      n++;
      in->p++;
    }
  }
  return n;
}

static void getstring (In *in) {
  lua_State *L = in->L;
  const char *from = in->p, *q = in->p + 1;
  int plain = 1;
  while (q < in->end && *q != '"' && (unsigned char)*q >= 0x20) {
    if (*q == '\\') {
      plain = 0;
      q++;
    }
    q++;
  }
  dbay_charge(L, COST_JSON_VALUE + (size_t)(q - from) / COST_JSON_TEXT);
  in->p++;
  if (q >= in->end || *q != '"') {  /* what comes first is what is said to be wrong */
    unescape(in, q < in->end ? q : in->end, NULL);
    if (q < in->end) bad(in, q, "control character in string", NULL, 0, NULL);
    bad(in, from, "expected closing quote for string", NULL, 0, NULL);
  }
  if (plain) lua_pushlstring(L, in->p, (size_t)(q - in->p));
  else {
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, (size_t)(q - in->p));
    luaL_pushresultsize(&b, unescape(in, q, to));
  }
  in->p = q + 1;
}

static void getnumber (In *in) {
  lua_State *L = in->L;
  const char *from = in->p;
  size_t n = toend(in);
  char text[64];
  dbay_charge(L, COST_JSON_NUMBER + n / COST_JSON_TEXT);
  if (n < sizeof text) {
    memcpy(text, from, n);
    text[n] = 0;
    if (lua_stringtonumber(L, text) == n + 1) return;
  }
  else {
    lua_pushlstring(L, from, n);
    if (lua_stringtonumber(L, lua_tostring(L, -1)) == n + 1) {
      lua_remove(L, -2);
      return;
    }
  }
  bad(in, from, "invalid number", from, n, "");
}

static void getword (In *in) {
  lua_State *L = in->L;
  const char *from = in->p;
  size_t n = toend(in);
  if (n == 4 && memcmp(from, "true", 4) == 0) lua_pushboolean(L, 1);
  else if (n == 5 && memcmp(from, "false", 5) == 0) lua_pushboolean(L, 0);
  else if (n == 4 && memcmp(from, "null", 4) == 0) lua_pushnil(L);
  else {
    dbay_charge(L, n / COST_JSON_TEXT);
    bad(in, from, "invalid literal", from, n, "");
  }
}

static int kind (In *in) { return lua_type(in->L, LEVELS + 2 * in->depth - 1); }

/* The value that is whole now is the table of the innermost level. */
static void closetable (In *in) {
  in->p++;
  in->depth--;
  lua_pop(in->L, 1);
}

static void getkey (In *in) {
  if (!is(in, '"')) bad(in, in->p, "expected string for key", NULL, 0, NULL);
  lua_pop(in->L, 1);
  getstring(in);
  space(in);
  if (!is(in, ':')) bad(in, in->p, "expected ':' after key", NULL, 0, NULL);
  in->p++;
  space(in);
}

/* After a bracket or a comma: 1 if a value follows, 0 if that table is whole. */
static int follows (In *in) {
  int isarray = kind(in) == LUA_TNUMBER;
  space(in);
  if (is(in, isarray ? ']' : '}')) {
    closetable(in);
    return 0;
  }
  if (!isarray) getkey(in);
  return 1;
}

/* Puts a whole value, on top, where it belongs: 1 if another value follows, 0 if that table is whole too. */
static int settle (In *in) {
  lua_State *L = in->L;
  int isarray = kind(in) == LUA_TNUMBER;
  if (isarray) {
    lua_Integer i = lua_tointeger(L, -2) + 1;
    lua_seti(L, -3, i);
    lua_pop(L, 1);
    lua_pushinteger(L, i);
  }
  else {
    lua_rawset(L, -3);
    lua_pushnil(L);
  }
  space(in);
  if (is(in, isarray ? ']' : '}')) {
    closetable(in);
    return 0;
  }
  if (!is(in, ',')) bad(in, in->p + 1, isarray ? "expected ']' or ','" : "expected '}' or ','", NULL, 0, NULL);
  in->p++;
  return follows(in);
}

/* Reads what begins here: 1 if it is a value that is whole, 0 if it is a table that another value belongs to. */
static int begin (In *in) {
  lua_State *L = in->L;
  char c = in->p < in->end ? *in->p : 0;
  dbay_charge(L, COST_JSON_VALUE);
  luaL_checkstack(L, 8, "JSON");
  if (c == '{' || c == '[') {
    lua_newtable(L);
    if (c == '[') lua_pushinteger(L, 0); else lua_pushnil(L);
    in->p++;
    in->depth++;
    return !follows(in);
  }
  if (c == '"') getstring(in);
  else if (c == '-' || (c >= '0' && c <= '9')) getnumber(in);
  else if (c == 't' || c == 'f' || c == 'n') getword(in);
  else bad(in, in->p, "unexpected character", in->p, in->p < in->end, "");
  return 1;
}

/* json.decode(text) */
int dbay_jsondecode (lua_State *L) {
  size_t n;
  const char *s;
  In in;
  int whole;
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "expected argument of type string, got %s", luaL_typename(L, 1));
  s = lua_tolstring(L, 1, &n);
  in.L = L;
  in.s = in.p = s;
  in.end = s + n;
  in.depth = 0;
  space(&in);
  do {
    whole = begin(&in);
    while (whole && in.depth > 0) whole = !settle(&in);
  } while (!whole);
  space(&in);
  if (in.p < in.end) bad(&in, in.p, "trailing garbage", NULL, 0, NULL);
  return 1;
}
