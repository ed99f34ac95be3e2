/* JSON as the json.lua of aos reads and writes it: the same results, the same refusals, natively.
** The order of an object's keys is that of next. Nesting is bounded, as the C stack is. */
#include "dbay.h"
#include <stdio.h>

#define DEPTH_MAX 180

/* ---- writing: into a userdata at a fixed place on the stack */

#define BUF 2

typedef struct Out {
  lua_State *L;
  char *p;
  size_t n, cap;
} Out;

static void put (Out *o, const char *s, size_t n) {
  if (o->cap - o->n < n) {
    size_t cap = o->cap * 2 > o->n + n ? o->cap * 2 : o->n + n;
    char *p = (char *)lua_newuserdata(o->L, cap);
    memcpy(p, o->p, o->n);
    lua_replace(o->L, BUF);
    o->p = p;
    o->cap = cap;
  }
  memcpy(o->p + o->n, s, n);
  o->n += n;
}

static void putstring (Out *o, const char *s, size_t n) {
  static const char hex[] = "0123456789abcdef";
  size_t i, from = 0;
  dbay_charge(o->L, 1 + n / COST_JSON_TEXT);
  put(o, "\"", 1);
  for (i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    char e[6] = {'\\', 'u', '0', '0', 0, 0};
    const char *at;
    static const char from_[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
    put(o, s + from, i - from);
    from = i + 1;
    at = c != 0 ? strchr(from_, c) : NULL;
    if (at != NULL) {
      e[1] = to[at - from_];
      put(o, e, 2);
    }
    else {
      e[4] = hex[c >> 4];
      e[5] = hex[c & 15];
      put(o, e, 6);
    }
  }
  put(o, s + from, n - from);
  put(o, "\"", 1);
}

static void putvalue (Out *o, int depth);

/* The number of elements; any key but 1..n is refused. */
static lua_Integer arraylength (lua_State *L) {
  lua_Integer n = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -2) != LUA_TNUMBER)
      luaL_error(L, "invalid table: mixed or invalid key types");
    n++;
    lua_pop(L, 1);
  }
  if ((lua_Integer)lua_rawlen(L, -1) != n) luaL_error(L, "invalid table: sparse array");
  return n;
}

static void puttable (Out *o, int depth) {
  lua_State *L = o->L;
  int isarray, first = 1;
  if (depth >= DEPTH_MAX) luaL_error(L, "circular reference");
  luaL_checkstack(L, 8, "too deep");
  isarray = lua_rawgeti(L, -1, 1) != LUA_TNIL;
  lua_pop(L, 1);
  if (!isarray) {
    lua_pushnil(L);
    if (lua_next(L, -2)) lua_pop(L, 2);
    else isarray = 1;
  }
  if (isarray) {
    lua_Integer i, n = arraylength(L);
    put(o, "[", 1);
    for (i = 1; i <= n; i++) {
      if (i > 1) put(o, ",", 1);
      lua_geti(L, -1, i);
      putvalue(o, depth + 1);
      lua_pop(L, 1);
    }
    put(o, "]", 1);
    return;
  }
  put(o, "{", 1);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    size_t n;
    const char *k;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "invalid table: mixed or invalid key types");
    k = lua_tolstring(L, -2, &n);
    if (!first) put(o, ",", 1);
    first = 0;
    putstring(o, k, n);
    put(o, ":", 1);
    putvalue(o, depth + 1);
    lua_pop(L, 1);
  }
  put(o, "}", 1);
}

static void putnumber (Out *o) {
  lua_State *L = o->L;
  char text[64];
  int n;
  if (lua_isinteger(L, -1)) n = snprintf(text, sizeof text, LUA_INTEGER_FMT, lua_tointeger(L, -1));
  else {
    lua_Number x = lua_tonumber(L, -1);
    if (x != x || x <= -HUGE_VAL || x >= HUGE_VAL)
      luaL_error(L, "unexpected number value '%s'", luaL_tolstring(L, -1, NULL));
    n = snprintf(text, sizeof text, "%.20g", x);
  }
  put(o, text, (size_t)n);
}

static void putvalue (Out *o, int depth) {
  lua_State *L = o->L;
  dbay_charge(L, COST_JSON_VALUE);
  switch (lua_type(L, -1)) {
    case LUA_TNIL: put(o, "null", 4); break;
    case LUA_TBOOLEAN:
      if (lua_toboolean(L, -1)) put(o, "true", 4);
      else put(o, "false", 5);
      break;
    case LUA_TNUMBER: putnumber(o); break;
    case LUA_TSTRING: {
      size_t n;
      const char *s = lua_tolstring(L, -1, &n);
      putstring(o, s, n);
      break;
    }
    case LUA_TTABLE: puttable(o, depth); break;
    default: luaL_error(L, "unexpected type '%s'", luaL_typename(L, -1));
  }
}

/* json.encode(value) */
int dbay_jsonencode (lua_State *L) {
  Out o = {L, NULL, 0, 256};
  lua_settop(L, 1);
  o.p = (char *)lua_newuserdata(L, o.cap);
  lua_pushvalue(L, 1);
  putvalue(&o, 0);
  lua_pushlstring(L, o.p, o.n);
  return 1;
}

/* ---- reading */

typedef struct In {
  lua_State *L;
  const char *s, *p, *end;
} In;

static l_noret bad (In *in, const char *at, const char *why) {
  int line = 1, column = 1;
  const char *q;
  dbay_charge(in->L, (size_t)(at - in->s) / COST_JSON_ERROR_TEXT);
  for (q = in->s; q < at; q++) {
    column++;
    if (*q == '\n') {
      line++;
      column = 1;
    }
  }
  luaL_error(in->L, "%s at line %d col %d", why, line, column);
  abort();  /* not reached */
}

static void space (In *in) {
  while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' || *in->p == '\r' || *in->p == '\n'))
    in->p++;
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

/* At an escape; writes what it stands for, and goes past it. */
static size_t escape (In *in, char *to) {
  static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
  const char *at;
  unsigned c, low;
  char e = in->p + 1 < in->end ? in->p[1] : 0;
  if (e == 'u') {
    if (!hex4(in->p + 2, in->end, &c)) bad(in, in->p, "invalid unicode escape in string");
    in->p += 6;
    if (c >= 0xd800 && c < 0xdc00 && in->end - in->p >= 6 && in->p[0] == '\\' && in->p[1] == 'u' &&
        hex4(in->p + 2, in->end, &low) && low >= 0xdc00 && low < 0xe000) {
      in->p += 6;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return utf8(to, c);
  }
  at = e != 0 ? strchr(from, e) : NULL;
  if (at == NULL) bad(in, in->p, "invalid escape char in string");
  in->p += 2;
  to[0] = is[at - from];
  return 1;
}

static void getstring (In *in) {
  lua_State *L = in->L;
  const char *from = in->p, *q = in->p + 1;
  luaL_Buffer b;
  char *to;
  size_t n = 0;
  int plain = 1;
  while (q < in->end && *q != '"') {
    if ((unsigned char)*q < 0x20) bad(in, q, "control character in string");
    if (*q == '\\') {
      plain = 0;
      q++;
    }
    q++;
  }
  if (q >= in->end) bad(in, from, "expected closing quote for string");
  dbay_charge(L, COST_JSON_VALUE + (size_t)(q - from) / COST_JSON_TEXT);
  in->p++;
  if (plain) lua_pushlstring(L, in->p, (size_t)(q - in->p));
  else {
    to = luaL_buffinitsize(L, &b, (size_t)(q - in->p));
    while (in->p < q) {
      if (*in->p == '\\') n += escape(in, to + n);
      else to[n++] = *in->p++;
    }
    luaL_pushresultsize(&b, n);
  }
  in->p = q + 1;
}

static void getnumber (In *in) {
  const char *from = in->p;
  char text[512];
  size_t n;
  while (in->p < in->end && strchr(" \t\r\n]},", *in->p) == NULL) in->p++;
  n = (size_t)(in->p - from);
  dbay_charge(in->L, COST_JSON_NUMBER + n / COST_JSON_TEXT);
  if (n >= sizeof text || memchr(from, 0, n) != NULL) bad(in, from, "invalid number");
  memcpy(text, from, n);
  text[n] = 0;
  if (lua_stringtonumber(in->L, text) == 0) bad(in, from, "invalid number");
}

static void getvalue (In *in, int depth);

static void getarray (In *in, int depth) {
  lua_Integer i = 0;
  lua_newtable(in->L);
  in->p++;
  for (;;) {
    space(in);
    if (in->p < in->end && *in->p == ']') break;
    getvalue(in, depth + 1);
    lua_seti(in->L, -2, ++i);
    space(in);
    if (in->p < in->end && *in->p == ']') break;
    if (in->p >= in->end || *in->p != ',') bad(in, in->p, "expected ']' or ','");
    in->p++;
  }
  in->p++;
}

static void getobject (In *in, int depth) {
  lua_newtable(in->L);
  in->p++;
  for (;;) {
    space(in);
    if (in->p < in->end && *in->p == '}') break;
    if (in->p >= in->end || *in->p != '"') bad(in, in->p, "expected string for key");
    getstring(in);
    space(in);
    if (in->p >= in->end || *in->p != ':') bad(in, in->p, "expected ':' after key");
    in->p++;
    space(in);
    getvalue(in, depth + 1);
    lua_rawset(in->L, -3);
    space(in);
    if (in->p < in->end && *in->p == '}') break;
    if (in->p >= in->end || *in->p != ',') bad(in, in->p, "expected '}' or ','");
    in->p++;
  }
  in->p++;
}

static int word (In *in, const char *w) {
  size_t n = strlen(w);
  if ((size_t)(in->end - in->p) < n || memcmp(in->p, w, n) != 0) return 0;
  if (in->p + n < in->end && strchr(" \t\r\n]},", in->p[n]) == NULL) return 0;
  in->p += n;
  return 1;
}

static void getvalue (In *in, int depth) {
  lua_State *L = in->L;
  char c;
  if (depth >= DEPTH_MAX) bad(in, in->p, "nested too deep");
  luaL_checkstack(L, 8, "too deep");
  dbay_charge(L, COST_JSON_VALUE);
  space(in);
  if (in->p >= in->end) bad(in, in->p, "unexpected end");
  c = *in->p;
  if (c == '"') getstring(in);
  else if (c == '{') getobject(in, depth);
  else if (c == '[') getarray(in, depth);
  else if (c == '-' || (c >= '0' && c <= '9')) getnumber(in);
  else if (word(in, "true")) lua_pushboolean(L, 1);
  else if (word(in, "false")) lua_pushboolean(L, 0);
  else if (word(in, "null")) lua_pushnil(L);
  else bad(in, in->p, "invalid literal");
}

/* json.decode(text) */
int dbay_jsondecode (lua_State *L) {
  size_t n;
  const char *s;
  In in;
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "expected argument of type string, got %s", luaL_typename(L, 1));
  s = lua_tolstring(L, 1, &n);
  in.L = L;
  in.s = in.p = s;
  in.end = s + n;
  getvalue(&in, 0);
  space(&in);
  if (in.p < in.end) bad(&in, in.p, "trailing garbage");
  return 1;
}
