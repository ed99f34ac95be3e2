/* Fuel, faults, counting memory, identity, and coroutines at rest. */
#include "dbay.h"

int getentropy (void *buffer, size_t length);  /* POSIX; the mode that Lua asks for hides it */

/* Who pays where Lua has no state at hand. */
_Thread_local lua_State *dbay_cur;

/* ---- faults: sticky, and past every handler of the guest */

int dbay_faulted (lua_State *L) { return G(L)->fault; }

/* No message handler is run for a memory error, so the guest has no say in it. */
void dbay_rethrow (lua_State *L) { luaD_throw(L, LUA_ERRMEM); }

void dbay_fail (lua_State *L, int fault) {
  if (G(L)->fault == DBAY_NO_FAULT) G(L)->fault = fault;
  luaD_throw(L, LUA_ERRMEM);
}

l_noret dbay_outoffuel (lua_State *L) {
  if (G(L)->fault == DBAY_NO_FAULT) G(L)->fault = DBAY_FUEL;
  luaD_throw(L, LUA_ERRMEM);
}

void dbay_charge (lua_State *L, size_t n) {
  if (n > (size_t)MAX_LMEM / 2) n = (size_t)MAX_LMEM / 2;
  db_charge(L, n);
}

/* Where Lua has no state at hand; the next charge ends the run. */
void dbay_hops (size_t n) {
  if (dbay_cur != NULL) G(dbay_cur)->fuel -= (l_mem)n;
}

/* The guest handled an error: an overflow of the stack is over. */
void dbay_caught (lua_State *L) { G(L)->toodeep = 0; }

/* Frames cut off by an error pay for their begun blocks. */
void dbay_settle (lua_State *L, CallInfo *upto) {
  CallInfo *ci;
  for (ci = L->ci; ci != upto && ci != NULL; ci = ci->previous)
    if (isLua(ci)) {
      G(L)->fuel -= ci->u.l.savedpc - ci->u.l.blk;
      ci->u.l.blk = ci->u.l.savedpc;
    }
}

/* ---- memory: the limit trips at the first allocation with which more is live than it allows. What was
** counted since the last census is never less than what is live, so counting again can wait until then. */

void dbay_census (lua_State *L, size_t more) {
  global_State *g = G(L);
  Walk w;
  size_t live;
  int nomemory;
  if (more > g->memlimit) dbay_fail(L, DBAY_MEMORY);
  dbay_walk(&w, g->mainthread, L, 0);
  live = w.live;
  nomemory = w.nomemory;
  dbay_walkfree(&w);
  if (nomemory) dbay_fail(L, DBAY_EXHAUSTED);
  g->counted = live + more;
  if (g->counted > g->memlimit) dbay_fail(L, DBAY_MEMORY);
  db_charge(L, live / COST_CENSUS_BYTES);
}

/* ---- the table of short texts: buckets by a secret of this program's run */

static uint64_t secret[2] = {0x243f6a8885a308d3ull, 0x13198a2e03707344ull};

static uint64_t mixed (uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
  unsigned __int128 m = (unsigned __int128)a * b;
  return (uint64_t)m ^ (uint64_t)(m >> 64);
#else
  a = (a ^ (a >> 32)) * (b | 1);
  return a ^ (a >> 29);
#endif
}

unsigned dbay_bucket (const char *s, size_t n) {
  uint64_t h = secret[0] ^ n, w;
  for (; n >= 8; s += 8, n -= 8) {
    memcpy(&w, s, 8);
    h = mixed(h ^ w, secret[1]);
  }
  w = 0;
  memcpy(&w, s, n);
  h = mixed(h ^ w, secret[1] ^ 0x9E3779B97F4A7C15ull);
  return (unsigned)(h >> 16);
}

/* Steps that the collector and that table took so far, and the collector's rounds, for tests. */
uint64_t dbay_work (const lua_State *L) { return G(L)->work; }
uint64_t dbay_rounds (const lua_State *L) { return G(L)->rounds; }

/* ---- C functions that a guest can hold: known by name, hashed by number, never by address */

typedef struct Known {
  lua_CFunction f;
  unsigned index;  /* from 1, in the order of the table in libs.c */
} Known;

#define KNOWN_MAX 256
static Known known[KNOWN_MAX];
static unsigned known_count;

static int byaddress (const void *a, const void *b) {
  const Known *x = (const Known *)a, *y = (const Known *)b;
  return ((size_t)x->f > (size_t)y->f) - ((size_t)x->f < (size_t)y->f);
}

/* Called once, before any world is made. */
int dbay_init (void) {
  unsigned i, n;
  const dbay_function *all = dbay_functions(&n);
  if (known_count != 0) return 1;
  if (getentropy(secret, sizeof secret) != 0) secret[0] ^= (uint64_t)(size_t)&n;
  secret[1] |= 1;
  if (n > KNOWN_MAX) return 0;
  for (i = 0; i < n; i++) {
    known[i].f = all[i].function;
    known[i].index = i + 1;
  }
  qsort(known, n, sizeof(Known), byaddress);
  for (i = 1; i < n; i++)
    if (known[i].f == known[i - 1].f) return 0;
  known_count = n;
  return 1;
}

unsigned dbay_cfindex (lua_CFunction f) {
  unsigned lo = 0, hi = known_count;
  while (lo < hi) {
    unsigned m = (lo + hi) / 2;
    if (known[m].f == f) return known[m].index;
    if ((size_t)known[m].f < (size_t)f) lo = m + 1; else hi = m;
  }
  return 0;
}

const char *dbay_cfname (unsigned index) {
  unsigned n;
  return dbay_functions(&n)[index - 1].name;
}

lua_CFunction dbay_cffunction (unsigned index) {
  unsigned n;
  return dbay_functions(&n)[index - 1].function;
}

int dbay_cfneeds (unsigned index) {
  unsigned n;
  return dbay_functions(&n)[index - 1].upvalues;
}

unsigned dbay_cfbyname (const char *name, size_t len) {
  unsigned i, n;
  const dbay_function *all = dbay_functions(&n);
  for (i = 0; i < n; i++)
    if (strlen(all[i].name) == len && memcmp(all[i].name, name, len) == 0) return i + 1;
  return 0;
}

/* What takes the place of an address. */
unsigned long long dbay_stampof (lua_State *L, int idx) {
  const void *p = lua_topointer(L, idx);
  switch (lua_type(L, idx)) {
    case LUA_TTABLE: return ((const Table *)p)->stamp;
    case LUA_TTHREAD: return ((const lua_State *)p)->stamp;
    case LUA_TFUNCTION: {
      lua_CFunction f = lua_tocfunction(L, idx);
      if (f != NULL && (const void *)(size_t)f == p) return dbay_cfindex(f);
      return ((const Closure *)p)->c.stamp;
    }
    default: return 0;
  }
}

/* ---- what table.sort asks its order, the function at index 2, of two values near the top: as the functions of the
** API would, which cost more than most orders do */

int dbay_before (lua_State *L, int a, int b) {
  StkId top = L->top;
  setobj2s(L, top, L->ci->func + 2);
  setobj2s(L, top + 1, top + a);
  setobj2s(L, top + 2, top + b);
  L->top = top + 3;
  luaD_callnoyield(L, top, 1);
  L->top--;
  return !l_isfalse(L->top);
}

/* ---- the remainder of a division is found bit by bit */

double dbay_fmod (double a, double b) {
  uint64_t x, y;
  int bits;
  memcpy(&x, &a, 8);
  memcpy(&y, &b, 8);
  bits = (int)(x >> 52 & 0x7ff) - (int)(y >> 52 & 0x7ff);
  if (bits >= COST_REMAINDER_BITS) dbay_hops((size_t)bits / COST_REMAINDER_BITS);
  return fmod(a, b);
}

/* ---- chance: splitmix64, seeded from the call (Steele, Lea, Flood 2014) */

double dbay_random (lua_State *L) {
  unsigned long long z = (G(L)->rng += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return (double)((z ^ (z >> 31)) >> 11) * (1.0 / 9007199254740992.0);
}

void dbay_randomseed (lua_State *L, lua_Integer n) { G(L)->rng = (unsigned long long)n; }

/* ---- coroutines at rest */

/* 'co' is about to go on. */
void dbay_resume (lua_State *L, lua_State *co) {
  dbay_charge(L, (size_t)(co->top - co->stack) / COST_RESUME_SLOTS);
  dbay_ran(co);
}

/* The end of all frames: registers of a frame are live whoever is called from it. */
StkId dbay_extent (lua_State *th) {
  StkId end = th->top;
  CallInfo *ci;
  for (ci = th->ci; ci != NULL; ci = ci->previous)
    if (isLua(ci) && ci->top > end) end = ci->top;
  return end;
}

/* 't' is where 'self' is read. */
int dbay_threadstate (const lua_State *t, lua_State *self) {
  if (t->status > LUA_YIELD) return T_BROKEN;
  if (t->status == LUA_YIELD) return T_YIELDED;
  return (t->ci == &self->base_ci && t->top == t->stack + 1) ? T_DONE : T_NEW;
}

int dbay_parksize (lua_State *co) {
  int inuse = cast_int(dbay_extent(co) - co->stack) + LUA_MINSTACK;
  int size = inuse + inuse / 8 + 2 * EXTRA_STACK;
  return size < BASIC_STACK_SIZE ? BASIC_STACK_SIZE : size;
}

/* A coroutine that comes to rest looks as if it had been mounted: nothing above its top, and a stack whose
** size follows from its frames. One that failed lets go of its frames. */
void dbay_park (lua_State *co) {
  int size, state = dbay_threadstate(co, co);
  StkId o;
  if (state == T_NEW) return;  /* or running: what resumes itself is told so, and goes on */
  if (state != T_YIELDED) {
    luaF_close(co, co->stack + 1);
    co->ci = &co->base_ci;
    co->top = co->stack + 1;
    co->errfunc = 0;
    size = BASIC_STACK_SIZE;
  }
  else size = dbay_parksize(co);
  if (co->stacksize != size) luaD_reallocstack(co, size);
  for (o = co->top; o < co->stack + co->stacksize; o++) setnilvalue(o);
}

/* A frame can be parked where it called something; in the middle of another operation it cannot. */
void dbay_canpark (lua_State *L) {
  CallInfo *ci;
  for (ci = L->ci; ci != NULL && ci != &L->base_ci; ci = ci->previous) {
    OpCode op;
    if (!isLua(ci)) continue;
    dbay_charge(L, COST_YIELD_FRAME);
    op = GET_OPCODE(ci->u.l.savedpc[-1]);
    if (op != OP_CALL && op != OP_TAILCALL && op != OP_TFORCALL)
      luaG_runerror(L, "attempt to yield across a metamethod");
  }
}
