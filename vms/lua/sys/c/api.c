/* The entries that Rust calls. Each is protected: no jump of Lua's ever crosses them. */
#include "dbay.h"

void *dbay_alloc (void *ud, void *p, size_t old, size_t n);
int dbay_jsonanswer (lua_State *L);
int dbay_jsondecode (lua_State *L);

/* An empty state in the memory behind 'ud'; NULL if that is too small. */
lua_State *dbay_newstate (void *ud) {
  lua_State *L = lua_newstate(dbay_alloc, ud);
  if (L != NULL) lua_gc(L, LUA_GCSETPAUSE, 400);
  return L;
}

/* ---- one call */

typedef struct dbay_file {
  dbay_bytes name, text;
} dbay_file;

/* What a call brings. 'files' are the module's, and only given the first time. */
typedef struct dbay_input {
  int64_t fuel;
  uint64_t memory_bytes, depth, seed;
  const dbay_file *files;
  size_t nfiles;
  const char *entry;
  dbay_bytes message, env, data;
  int hasdata;
  dbay_bytes from;
} dbay_input;

enum { END_DONE, END_RAISED, END_NOENTRY, END_FUEL, END_MEMORY, END_DEEP, END_LOUD, END_HOST,
       END_EXHAUSTED, END_REPLY };
enum { OUT_NOTHING, OUT_TEXT, OUT_JSON };

typedef struct dbay_output {
  int end;          /* how it ended */
  int kind;         /* of text: nothing, plain text, JSON; of an error, its text */
  char *text;       /* to be given back to dbay_free */
  size_t len;
  int64_t fuel;     /* left; negative if it ran out */
} dbay_output;

typedef struct Play {
  const dbay_input *in;
  dbay_output *out;
  int stage;  /* END_RAISED, or what an error means at this place */
} Play;

static void copyout (lua_State *L, dbay_output *out, int kind) {
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  out->text = (char *)malloc(n ? n : 1);
  if (out->text == NULL) dbay_fail(L, DBAY_EXHAUSTED);
  memcpy(out->text, s, n);
  out->len = n;
  out->kind = kind;
}

/* All files are compiled; the first one is the program, the others wait for require. */
static void boot (lua_State *L, const dbay_input *in) {
  size_t i;
  dbay_openlibs(L);
  lua_createtable(L, 0, 2);  /* the first file makes require from it */
  lua_createtable(L, 0, (int)in->nfiles);
  lua_pushvalue(L, 2);
  lua_setfield(L, 1, "preload");
  for (i = 0; i < in->nfiles; i++) {
    const dbay_file *f = &in->files[i];
    lua_pushfstring(L, "%s%s", i == 0 ? "=" : "@", f->name.data);
    if (luaL_loadbufferx(L, f->text.data, f->text.len, lua_tostring(L, -1), "t") != LUA_OK)
      lua_error(L);
    lua_remove(L, -2);
    if (i == 0) {
      lua_pushvalue(L, 1);
      lua_call(L, 1, 0);
    }
    else if (i + 1 < in->nfiles) lua_setfield(L, 2, f->name.data);
    else lua_call(L, 0, 0);
  }
  lua_settop(L, 0);
}

static void pushjson (lua_State *L, dbay_bytes text) {
  lua_pushcfunction(L, dbay_jsondecode);
  lua_pushlstring(L, text.data, text.len);
  lua_call(L, 1, 1);
}

static int play (lua_State *L) {
  Play *p = (Play *)lua_touserdata(L, 1);
  const dbay_input *in = p->in;
  lua_settop(L, 0);
  if (in->nfiles > 0) boot(L, in);
  if (lua_getglobal(L, in->entry) != LUA_TFUNCTION) {
    p->stage = END_NOENTRY;
    return luaL_error(L, "the module has no global function '%s'; it must define one", in->entry);
  }
  pushjson(L, in->message);
  if (lua_istable(L, -1)) {
    lua_pushlstring(L, in->from.data, in->from.len);
    lua_setfield(L, -2, "From");
  }
  if (in->hasdata && lua_istable(L, -1)) {
    lua_pushlstring(L, in->data.data, in->data.len);
    lua_setfield(L, -2, "Data");
  }
  pushjson(L, in->env);
  lua_call(L, 2, 1);
  p->stage = END_REPLY;
  if (lua_isnoneornil(L, 1)) p->out->kind = OUT_NOTHING;
  else if (lua_type(L, 1) == LUA_TSTRING) copyout(L, p->out, OUT_TEXT);
  else {
    lua_pushcfunction(L, dbay_jsonanswer);
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    copyout(L, p->out, OUT_JSON);
  }
  return 0;
}

static int describe (lua_State *L) {
  Play *p = (Play *)lua_touserdata(L, 2);
  luaL_tolstring(L, 1, NULL);
  copyout(L, p->out, OUT_TEXT);
  return 0;
}

static int tofault (int fault) {
  switch (fault) {
    case DBAY_FUEL: return END_FUEL;
    case DBAY_MEMORY: return END_MEMORY;
    case DBAY_HOST: return END_HOST;
    case DBAY_LOUD: return END_LOUD;
    default: return END_EXHAUSTED;
  }
}

static void begin (lua_State *L, const dbay_input *in, dbay_run *run) {
  global_State *g = G(L);
  g->fault = DBAY_NO_FAULT;
  g->toodeep = 0;
  g->fuel = in->fuel;
  g->allowed = DBAY_BASE;
  g->seen = g->fuel;
  g->memlimit = in->memory_bytes < (uint64_t)1 << 61 ? (size_t)in->memory_bytes : (size_t)1 << 61;
  g->maxstack = in->depth < LUAI_MAXSTACK ? (unsigned)in->depth : LUAI_MAXSTACK;
  if (g->maxstack < 200) g->maxstack = 200;
  g->rng = in->seed;
  run->fuel = in->fuel;
  g->run = run;
  dbay_cur = L;
}

/* The main stack as it was before the first call. */
static void rest (lua_State *L) {
  StkId o;
  global_State *g = G(L);
  luaF_close(L, L->stack + 1);
  L->ci = &L->base_ci;
  L->top = L->stack + 1;
  L->errfunc = 0;
  L->nCcalls = 0;
  L->status = LUA_OK;
  g->run = NULL;
  g->fault = DBAY_NO_FAULT;
  g->allowed = 0;
  g->seen = g->fuel = MAX_LMEM;
  g->memlimit = ~(size_t)0 >> 1;
  g->maxstack = LUAI_MAXSTACK;
  g->rng = 0;
  g->toodeep = 0;
  dbay_cur = NULL;
  if (L->stacksize != BASIC_STACK_SIZE) luaD_reallocstack(L, BASIC_STACK_SIZE);
  for (o = L->top; o < L->stack + L->stacksize; o++) setnilvalue(o);
}

/* What a message owes the collector and can pay is not left to the next one. */
static void restpaid (lua_State *L, void *ud) {
  (void)ud;
  luaC_checkGC(L);
  rest(L);
}

static void restprotected (lua_State *L, void *ud) {
  (void)ud;
  rest(L);
}

/* Boots if there are files, calls the entry, and leaves the world at rest. After anything but END_DONE
** the world is in no state to be kept. */
void dbay_play (lua_State *L, const dbay_input *in, dbay_run *run, dbay_output *out) {
  Play p = {in, out, END_RAISED};
  int status;
  memset(out, 0, sizeof *out);
  begin(L, in, run);
  lua_pushcfunction(L, play);
  lua_pushlightuserdata(L, &p);
  status = lua_pcall(L, 1, 0, 0);
  if (status == LUA_OK) out->end = END_DONE;
  else if (G(L)->fault != DBAY_NO_FAULT) out->end = tofault(G(L)->fault);
  else if (G(L)->toodeep) out->end = END_DEEP;
  else {
    out->end = p.stage;
    lua_pushcfunction(L, describe);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &p);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK && G(L)->fault != DBAY_NO_FAULT)
      out->end = tofault(G(L)->fault);
  }
  if (G(L)->fuel < 0 && out->end != END_HOST && out->end != END_EXHAUSTED) out->end = END_FUEL;
  out->fuel = G(L)->fuel;
  if (luaD_rawrunprotected(L, out->end == END_DONE ? restpaid : restprotected, NULL) != LUA_OK)
    out->end = END_EXHAUSTED;
}

/* What the world counts as, for tests: as a census would find it. */
uint64_t dbay_live (lua_State *L) {
  Walk w;
  size_t live;
  dbay_walk(&w, L, NULL, 0);
  live = w.live;
  dbay_walkfree(&w);
  return live;
}

static void collect (lua_State *L, void *ud) {
  (void)ud;
  luaC_fullgc(L, 0);
}

/* A full collection, for tests: nobody can tell. */
void dbay_collect (lua_State *L) { luaD_rawrunprotected(L, collect, NULL); }
