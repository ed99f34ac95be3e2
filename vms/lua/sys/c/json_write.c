/* JSON as the json.lua of aos writes it: the same results, the same refusals, natively. The order of an object's keys
** is that of next. Nesting takes room on Lua's stack alone. */
#include "dbay.h"
#include <stdio.h>

#define BUF 2       /* where the text is: a userdata at a fixed place on the stack */
#define SEEN 3      /* tables that are open beyond the first levels, if any are */
#define LEVELS 4    /* of open tables: the table, what is walked, how far, what kind it is */
#define SCANNED 64  /* levels in which a table is looked for one by one */

typedef struct Out {
  lua_State *L;
  char *p;
  size_t n, cap;
  int depth;
  int whole;  /* of an answer nothing is left out */
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
    if (c >= 0x20 && c != '"' && c != '\\') continue;
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

/* As "%.14g" writes it: whole numbers too, which have more digits from here on. */
#define WHOLE 100000000000000

static void putnumber (Out *o) {
  lua_State *L = o->L;
  char text[40];
  lua_Integer i = 0;
  lua_Number x = lua_tonumber(L, -1);
  int n;
  if (x != x || x <= -HUGE_VAL || x >= HUGE_VAL)
    luaL_error(L, "unexpected number value '%s'", luaL_tolstring(L, -1, NULL));
  if (lua_isinteger(L, -1)) i = lua_tointeger(L, -1);
  if (i != 0 && i < WHOLE && i > -WHOLE) {
    dbay_charge(L, COST_INTEGER_TO_TEXT);
    n = snprintf(text, sizeof text, LUA_INTEGER_FMT, i);
  }
  else {
    dbay_charge(L, x < 1e20 && x > -1e20 && !(x < 1e-20 && x > -1e-20) ? COST_FLOAT_TO_TEXT : COST_FORMAT_FLOAT);
    n = snprintf(text, sizeof text, "%.14g", x);
  }
  put(o, text, (size_t)n);
}

/* What 'for k, v in pairs(t)' gives for the table on top, which says itself what its pairs are: a list of them is
** pushed, with their number. */
static lua_Integer listpairs (lua_State *L) {
  lua_Integer n = 0;
  int t = lua_gettop(L);
  lua_newtable(L);
  luaL_getmetafield(L, t, "__pairs");
  lua_pushvalue(L, t);
  lua_call(L, 1, 3);
  for (;;) {
    dbay_charge(L, COST_NEXT);
    lua_pushvalue(L, t + 2);
    lua_pushvalue(L, t + 3);
    lua_pushvalue(L, t + 4);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) break;
    lua_pushvalue(L, -2);
    lua_replace(L, t + 4);
    lua_rawseti(L, t + 1, n + 2);
    lua_rawseti(L, t + 1, n + 1);
    n += 2;
  }
  lua_settop(L, t + 1);
  return n;
}

static void checkkey (lua_State *L, int type) {
  if (lua_type(L, -2) != type) luaL_error(L, "invalid table: mixed or invalid key types");
}

/* The number of elements of the array on top; any key but 1..n is refused. */
static lua_Integer arraylength (lua_State *L) {
  lua_Integer n = 0;
  if (luaL_getmetafield(L, -1, "__pairs") != LUA_TNIL) {
    lua_Integer i, all;
    lua_pop(L, 1);
    all = listpairs(L);
    for (i = 1; i < all; i += 2, n++) {
      lua_rawgeti(L, -1, i);
      lua_pushnil(L);
      checkkey(L, LUA_TNUMBER);
      lua_pop(L, 2);
    }
    lua_pop(L, 1);
  }
  else {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      checkkey(L, LUA_TNUMBER);
      n++;
      lua_pop(L, 1);
    }
  }
  lua_len(L, -1);
  lua_pushinteger(L, n);
  if (!lua_compare(L, -1, -2, LUA_OPEQ)) luaL_error(L, "invalid table: sparse array");
  lua_pop(L, 2);
  return n;
}

/* Whether the table on top is one of those that are open. */
static int isopen (Out *o) {
  lua_State *L = o->L;
  const Table *t = hvalue(L->top - 1);
  StkId level = L->ci->func + LEVELS;
  int i, most = o->depth < SCANNED ? o->depth : SCANNED;
  dbay_charge(L, (size_t)most / COST_JSON_LEVELS);
  for (i = 0; i < most; i++, level += 4)
    if (hvalue(level) == t) return 1;
  if (o->depth <= SCANNED) return 0;
  lua_pushvalue(L, -1);
  i = lua_rawget(L, SEEN) != LUA_TNIL;
  lua_pop(L, 1);
  return i;
}

/* Notes that the table on top is open, or is no more. */
static void note (Out *o, int open) {
  lua_State *L = o->L;
  if (o->depth < SCANNED) return;
  if (lua_isnil(L, SEEN)) {
    lua_newtable(L);
    lua_replace(L, SEEN);
  }
  lua_pushvalue(L, -1);
  if (open) lua_pushboolean(L, 1); else lua_pushnil(L);
  lua_rawset(L, SEEN);
}

/* The table on top becomes the innermost level. Kinds: of an array, its length; of an object, whether it is empty so
** far; of an object that is a list of pairs, their number as a float. */
static void opentable (Out *o) {
  lua_State *L = o->L;
  int isarray;
  luaL_checkstack(L, 12, "JSON");
  if (isopen(o)) luaL_error(L, "circular reference");
  note(o, 1);
  isarray = lua_rawgeti(L, -1, 1) != LUA_TNIL;
  lua_pop(L, 1);
  if (!isarray) {
    lua_pushnil(L);
    if (lua_next(L, -2)) lua_pop(L, 2);
    else isarray = 1;
  }
  o->depth++;
  put(o, isarray ? "[" : "{", 1);
  if (isarray) {
    lua_Integer n = arraylength(L);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, 0);
    lua_pushinteger(L, n);
  }
  else if (luaL_getmetafield(L, -1, "__pairs") != LUA_TNIL) {
    lua_Integer n;
    lua_pop(L, 1);
    n = listpairs(L);
    lua_pushinteger(L, 0);
    lua_pushnumber(L, (lua_Number)n);
  }
  else {
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_pushboolean(L, 1);
  }
}

static void closetable (Out *o, const char *end) {
  put(o, end, 1);
  o->depth--;
  lua_pop(o->L, 3);
  note(o, 0);
  lua_pop(o->L, 1);
}

/* Writes the value on top and takes it away; a table stays, and is open. */
static void putvalue (Out *o) {
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
    case LUA_TTABLE: opentable(o); return;
    default: luaL_error(L, "unexpected type '%s'", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
}

/* The pair on top, of an object of which 'first' says that nothing was written yet. 0 if it is left out: aos leaves
** functions out of objects. */
static int putpair (Out *o, int first) {
  lua_State *L = o->L;
  size_t n;
  const char *k;
  checkkey(L, LUA_TSTRING);
  if (lua_type(L, -1) == LUA_TFUNCTION && !o->whole) {
    lua_pop(L, 2);
    return 0;
  }
  k = lua_tolstring(L, -2, &n);
  if (!first) put(o, ",", 1);
  putstring(o, k, n);
  put(o, ":", 1);
  lua_remove(L, -2);
  putvalue(o);
  return 1;
}

/* One step in the innermost table. */
static void step (Out *o) {
  lua_State *L = o->L;
  int at = LEVELS + 4 * (o->depth - 1);
  if (lua_isinteger(L, at + 3)) {
    lua_Integer i = lua_tointeger(L, at + 2);
    if (i == lua_tointeger(L, at + 3)) {
      closetable(o, "]");
      return;
    }
    if (i > 0) put(o, ",", 1);
    lua_pushinteger(L, i + 1);
    lua_replace(L, at + 2);
    lua_geti(L, at + 1, i + 1);
    putvalue(o);
  }
  else if (lua_type(L, at + 3) == LUA_TNUMBER) {
    lua_Integer i = lua_tointeger(L, at + 2);
    int first = o->p[o->n - 1] == '{';
    if (i == (lua_Integer)lua_tonumber(L, at + 3)) {
      closetable(o, "}");
      return;
    }
    lua_pushinteger(L, i + 2);
    lua_replace(L, at + 2);
    lua_rawgeti(L, at + 1, i + 1);
    lua_rawgeti(L, at + 1, i + 2);
    putpair(o, first);
  }
  else {
    int first = lua_toboolean(L, at + 3);
    lua_pushvalue(L, at + 2);
    if (!lua_next(L, at + 1)) {
      closetable(o, "}");
      return;
    }
    lua_pushvalue(L, -2);
    lua_replace(L, at + 2);
    if (putpair(o, first) && first) {
      lua_pushboolean(L, 0);
      lua_replace(L, at + 3);
    }
  }
}

static int encode (lua_State *L, int whole) {
  Out o = {L, NULL, 0, 256, 0, whole};
  lua_settop(L, 1);
  o.p = (char *)lua_newuserdata(L, o.cap);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  putvalue(&o);
  while (o.depth > 0) step(&o);
  lua_pushlstring(L, o.p, o.n);
  return 1;
}

/* json.encode(value) */
int dbay_jsonencode (lua_State *L) { return encode(L, 0); }

/* A function is no part of an answer. */
int dbay_jsonanswer (lua_State *L) { return encode(L, 1); }
