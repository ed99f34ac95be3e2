/* What a guest can call: an allow-list. Stock functions are taken from Lua's own libraries by name; ours
** stand beside them. Everything is in one table, in one order that never changes: it is what images and
** hashes know functions by. */
#include "dbay.h"

int dbay_jsonencode (lua_State *L);
int dbay_jsondecode (lua_State *L);
int dbay_base64encode (lua_State *L);
int dbay_base64decode (lua_State *L);
int dbay_sha256 (lua_State *L);
int dbay_hash (lua_State *L);
int dbay_ostime (lua_State *L);
int dbay_osdate (lua_State *L);
int dbay_osclock (lua_State *L);

/* ---- ours */

static int print (lua_State *L) {
  int i, n = lua_gettop(L);
  dbay_run *run = G(L)->run;
  luaL_Buffer b;
  size_t len;
  const char *s;
  lua_getglobal(L, "tostring");  /* as Lua's own print: it may be replaced */
  luaL_buffinit(L, &b);
  for (i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    lua_pushvalue(L, n + 1);
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
    if (!lua_isstring(L, -1)) return luaL_error(L, "'tostring' must return a string to 'print'");
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  s = lua_tolstring(L, -1, &len);
  dbay_charge(L, COST_PRINT + len / COST_PRINT_TEXT);
  if (run != NULL && !run->print(run->host, s, len)) dbay_fail(L, DBAY_LOUD);
  return 0;
}

/* The collector cannot be seen, so there is nothing to steer. */
static int collectgarbage (lua_State *L) {
  static const char *const names[] = {"collect", "stop", "restart", "count", "step", "setpause",
                                      "setstepmul", "isrunning", NULL};
  switch (luaL_checkoption(L, 1, "collect", names)) {
    case 3: lua_pushnumber(L, (lua_Number)G(L)->counted / 1024); return 1;
    case 4: case 7: lua_pushboolean(L, 1); return 1;
    default: lua_pushinteger(L, 0); return 1;
  }
}

static int traceback (lua_State *L) {
  const char *message = lua_tostring(L, 1);
  dbay_charge(L, COST_TRACEBACK);
  if (message == NULL && !lua_isnoneornil(L, 1)) lua_pushvalue(L, 1);
  else luaL_traceback(L, L, message, (int)luaL_optinteger(L, 2, 1));
  return 1;
}

/* drivebay.data(id [, from [, length]]): bytes of data on the network and its whole length, or nil. */
static int data (lua_State *L) {
  dbay_run *run = G(L)->run;
  size_t idlen;
  const char *id = luaL_checklstring(L, 1, &idlen);
  lua_Integer from = luaL_optinteger(L, 2, 0), len = luaL_optinteger(L, 3, 65536);
  dbay_bytes out = {NULL, 0};
  uint64_t total = 0;
  int found;
  luaL_argcheck(L, idlen <= 256, 1, "no id is that long");
  luaL_argcheck(L, from >= 0, 2, "not negative");
  luaL_argcheck(L, len >= 0 && len <= (1 << 20), 3, "at most 1 MiB at a time");
  dbay_charge(L, COST_HOST + (size_t)len / COST_HOST_TEXT);
  if (run == NULL) return luaL_error(L, "no host to ask");
  found = run->read(run->host, id, idlen, (uint64_t)from, (uint64_t)len, &out, &total);
  if (found < 0) dbay_fail(L, DBAY_HOST);
  if (found == 0) return 0;
  lua_pushlstring(L, out.data, out.len);
  lua_pushinteger(L, (lua_Integer)total);
  return 2;
}

/* ---- the table */

#define STOCK(name) {name, NULL, 0}
static dbay_function functions[] = {
  STOCK("assert"), STOCK("error"), STOCK("getmetatable"), STOCK("ipairs"), STOCK("load"),
  STOCK("next"), STOCK("pairs"), STOCK("pcall"), STOCK("rawequal"), STOCK("rawget"), STOCK("rawlen"),
  STOCK("rawset"), STOCK("select"), STOCK("setmetatable"), STOCK("tonumber"), STOCK("tostring"),
  STOCK("type"), STOCK("xpcall"),
  STOCK("coroutine.create"), STOCK("coroutine.isyieldable"), STOCK("coroutine.resume"),
  STOCK("coroutine.running"), STOCK("coroutine.status"), STOCK("coroutine.wrap"),
  STOCK("coroutine.yield"),
  STOCK("table.concat"), STOCK("table.insert"), STOCK("table.move"), STOCK("table.pack"),
  STOCK("table.remove"), STOCK("table.sort"), STOCK("table.unpack"),
  STOCK("string.byte"), STOCK("string.char"), STOCK("string.find"), STOCK("string.format"),
  STOCK("string.gmatch"), STOCK("string.gsub"), STOCK("string.len"), STOCK("string.lower"),
  STOCK("string.match"), STOCK("string.pack"), STOCK("string.packsize"), STOCK("string.rep"),
  STOCK("string.reverse"), STOCK("string.sub"), STOCK("string.unpack"), STOCK("string.upper"),
  STOCK("math.abs"), STOCK("math.acos"), STOCK("math.asin"), STOCK("math.atan"), STOCK("math.ceil"),
  STOCK("math.cos"), STOCK("math.cosh"), STOCK("math.deg"), STOCK("math.exp"), STOCK("math.floor"),
  STOCK("math.fmod"), STOCK("math.frexp"), STOCK("math.ldexp"), STOCK("math.log"),
  STOCK("math.log10"), STOCK("math.max"), STOCK("math.min"), STOCK("math.modf"), STOCK("math.pow"),
  STOCK("math.rad"), STOCK("math.random"), STOCK("math.randomseed"), STOCK("math.sin"),
  STOCK("math.sinh"), STOCK("math.sqrt"), STOCK("math.tan"), STOCK("math.tanh"),
  STOCK("math.tointeger"), STOCK("math.type"), STOCK("math.ult"),
  STOCK("utf8.char"), STOCK("utf8.codepoint"), STOCK("utf8.codes"), STOCK("utf8.len"),
  STOCK("utf8.offset"),
  STOCK("bit32.arshift"), STOCK("bit32.band"), STOCK("bit32.bnot"), STOCK("bit32.bor"),
  STOCK("bit32.btest"), STOCK("bit32.bxor"), STOCK("bit32.extract"), STOCK("bit32.lrotate"),
  STOCK("bit32.lshift"), STOCK("bit32.replace"), STOCK("bit32.rrotate"), STOCK("bit32.rshift"),
  /* those that are reached through others only */
  STOCK("~ipairs"), STOCK("~codes"), {"~gmatch", NULL, 4}, {"~wrap", NULL, 1},
  /* ours */
  {"print", print, 0}, {"collectgarbage", collectgarbage, 0}, {"debug.traceback", traceback, 0},
  {"os.time", dbay_ostime, 0}, {"os.date", dbay_osdate, 0}, {"os.clock", dbay_osclock, 0},
  {"json.encode", dbay_jsonencode, 0}, {"json.decode", dbay_jsondecode, 0},
  {"base64.encode", dbay_base64encode, 0}, {"base64.decode", dbay_base64decode, 0},
  {"drivebay.sha256", dbay_sha256, 0}, {"drivebay.data", data, 0},
  {"drivebay.hash", dbay_hash, 0},
};
#define NFUNCTIONS (sizeof(functions) / sizeof(functions[0]))

const dbay_function *dbay_functions (unsigned *count) {
  *count = NFUNCTIONS;
  return functions;
}

/* Pushes the table that a name of the form "a.b" lies in, made if 'make', and gives back "b". */
static const char *tableof (lua_State *L, const char *name, int make) {
  const char *dot = strchr(name, '.');
  lua_pushglobaltable(L);
  if (dot == NULL) return name;
  lua_pushlstring(L, name, (size_t)(dot - name));
  if (lua_rawget(L, -2) == LUA_TNIL && make) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 8);
    lua_pushlstring(L, name, (size_t)(dot - name));
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  return dot + 1;
}

static lua_CFunction hidden (lua_State *L, const char *source) {
  lua_CFunction f;
  if (luaL_loadstring(L, source) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK) return NULL;
  f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return f;
}

static lua_CFunction stock (lua_State *L, const char *name) {
  lua_CFunction f;
  if (strcmp(name, "~ipairs") == 0) return hidden(L, "return (ipairs({}))");
  if (strcmp(name, "~codes") == 0) return hidden(L, "return (utf8.codes(''))");
  if (strcmp(name, "~gmatch") == 0) return hidden(L, "return (string.gmatch('', ''))");
  if (strcmp(name, "~wrap") == 0) return hidden(L, "return (coroutine.wrap(print))");
  name = tableof(L, name, 0);
  lua_getfield(L, -1, name);
  f = lua_tocfunction(L, -1);
  lua_pop(L, 2);
  return f;
}

int dbay_init (void);

/* Finds the stock functions in a state that is thrown away. 0 if one of them is not there. Not for two
** threads at once. */
int dbay_setup (void) {
  static const luaL_Reg libs[] = {
    {"_G", luaopen_base}, {"coroutine", luaopen_coroutine}, {"table", luaopen_table},
    {"string", luaopen_string}, {"math", luaopen_math}, {"utf8", luaopen_utf8},
    {"bit32", luaopen_bit32}, {NULL, NULL}};
  const luaL_Reg *lib;
  unsigned i;
  int good = 1;
  lua_State *L = luaL_newstate();
  if (L == NULL) return 0;
  for (lib = libs; lib->name != NULL; lib++) {
    luaL_requiref(L, lib->name, lib->func, 1);
    lua_pop(L, 1);
  }
  for (i = 0; i < NFUNCTIONS; i++)
    if (functions[i].function == NULL) {
      functions[i].function = stock(L, functions[i].name);
      good = good && functions[i].function != NULL;
    }
  lua_close(L);
  return good && dbay_init();
}

static void number (lua_State *L, const char *name) {
  lua_setfield(L, -2, name);
}

void dbay_openlibs (lua_State *L) {
  unsigned i;
  for (i = 0; i < NFUNCTIONS; i++) {
    const char *name = functions[i].name;
    if (name[0] == '~') continue;
    name = tableof(L, name, 1);
    lua_pushstring(L, name);
    lua_pushcfunction(L, functions[i].function);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pushglobaltable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "_G");
  lua_pushliteral(L, LUA_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lua_getfield(L, -1, "math");
  lua_pushnumber(L, 3.141592653589793238462643383279502884);
  number(L, "pi");
  lua_pushnumber(L, HUGE_VAL);
  number(L, "huge");
  lua_pushinteger(L, LUA_MAXINTEGER);
  number(L, "maxinteger");
  lua_pushinteger(L, LUA_MININTEGER);
  number(L, "mininteger");
  lua_getfield(L, -2, "utf8");
  lua_pushlstring(L, "[\0-\x7F\xC2-\xF4][\x80-\xBF]*", 14);
  lua_setfield(L, -2, "charpattern");
  lua_settop(L, 0);
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 1);
  lua_getglobal(L, "string");
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_settop(L, 0);
}
