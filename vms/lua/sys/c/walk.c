/* Every object of a world, breadth first from its roots: what an image holds, and what a census counts.
** Nothing here depends on addresses or on the collector. */
#include "dbay.h"

static void nomemory (Walk *w) {
  w->nomemory = 1;
  if (w->err == NULL) w->err = "no memory to walk it";
}

/* The number of an object is kept beside the world: one cell for each 16 bytes of it, the least that the
** allocator gives, so neighbours have neighbouring cells. 0: not met. */
static uint32_t *cell (const Walk *w, const void *o) {
  size_t i = (size_t)((const uint8_t *)o - w->base) >> 4;
  return i < w->cells ? &w->ids[i] : NULL;
}

int64_t dbay_walkid (const Walk *w, const void *o) {
  const uint32_t *id = cell(w, o);
  return id != NULL ? (int64_t)*id - 1 : -1;
}

/* Where its number goes, if it was not met yet. */
static uint32_t *fresh (Walk *w, const void *o) {
  uint32_t *id = w->nomemory ? NULL : cell(w, o);
  return id != NULL && *id == 0 ? id : NULL;
}

static void meet (Walk *w, void *o, int kind) {
  uint32_t *id = fresh(w, o);
  if (id == NULL) return;
  if (w->n == w->cap) {
    uint32_t cap = w->cap * 2;
    void **objs = (void **)realloc(w->objs, cap * sizeof(void *));
    uint8_t *kinds;
    if (objs == NULL) { nomemory(w); return; }
    w->objs = objs;
    kinds = (uint8_t *)realloc(w->kinds, cap);
    if (kinds == NULL) { nomemory(w); return; }
    w->kinds = kinds;
    w->cap = cap;
  }
  w->objs[w->n] = o;
  w->kinds[w->n] = (uint8_t)kind;
  *id = ++w->n;
}

static void meetchunk (Walk *w, Proto *root) {
  uint32_t *id = fresh(w, root);
  if (id == NULL) return;
  if (w->nchunks == w->capchunks) {
    uint32_t cap = w->capchunks * 2;
    Proto **chunks = (Proto **)realloc(w->chunks, cap * sizeof(Proto *));
    if (chunks == NULL) { nomemory(w); return; }
    w->chunks = chunks;
    w->capchunks = cap;
  }
  w->chunks[w->nchunks] = root;
  *id = ++w->nchunks;
  w->live += DBAY_CHUNK_BYTES(tsslen(AT(w, TString, AT(w, Proto, root)->text)));
}

static void meetvalue (Walk *w, const TValue *v) {
  switch (ttype(v)) {
    case LUA_TSHRSTR: case LUA_TLNGSTR: meet(w, tsvalue(v), K_STR); break;
    case LUA_TTABLE: meet(w, hvalue(v), K_TAB); break;
    case LUA_TLCL: meet(w, clLvalue(v), K_LCL); break;
    case LUA_TCCL: meet(w, clCvalue(v), K_CCL); break;
    case LUA_TTHREAD:
      if (thvalue(v) != w->g->mainthread) meet(w, thvalue(v), K_THREAD);
      break;
    case LUA_TUSERDATA: meet(w, uvalue(v), K_UDATA); break;
    case LUA_TLCF:
      if (dbay_cfindex(fvalue(v)) == 0 && w->err == NULL) w->err = "a C function of another world";
      break;
    case LUA_TLIGHTUSERDATA:
      if (w->err == NULL) w->err = "an address";
      break;
    default: break;
  }
}

static void walktable (Walk *w, const Table *t) {
  unsigned i;
  const TValue *array = AT(w, TValue, t->array);
  w->live += sizeof(Table) + (size_t)t->sizearray * DBAY_SLOT_BYTES;
  for (i = 0; i < t->sizearray; i++) meetvalue(w, &array[i]);
  if (t->lastfree != NULL) {
    const Node *nodes = AT(w, Node, t->node);
    w->live += (size_t)sizenode(t) * DBAY_NODE_BYTES;
    for (i = 0; i < (unsigned)sizenode(t); i++) {
      const Node *n = &nodes[i];
      if (ttisnil(gkey(n))) continue;
      meetvalue(w, gkey(n));
      meetvalue(w, gval(n));
    }
  }
  if (t->metatable != NULL) meet(w, t->metatable, K_TAB);
}

/* Slots of a stack that are live: up to the end of all frames. */
static size_t extent (const Walk *w, const lua_State *t) {
  StkId end = t->top;
  const CallInfo *ci;
  CallInfo *at = t->ci;
  while (at != NULL) {
    ci = AT(w, CallInfo, at);
    if (isLua(ci) && ci->top > end) end = ci->top;
    at = ci->previous;
  }
  return (size_t)(end - t->stack);
}

static void walkthread (Walk *w, const lua_State *t) {
  size_t i, n;
  const TValue *stack = AT(w, TValue, t->stack);
  w->live += DBAY_THREAD_BYTES;
  if (t->stack == NULL) return;
  if (t->stacksize > BASIC_STACK_SIZE)
    w->live += (size_t)(t->stacksize - BASIC_STACK_SIZE) * DBAY_SLOT_BYTES;
  n = extent(w, t);
  for (i = 0; i < n; i++) meetvalue(w, &stack[i]);
}

static void walkclosure (Walk *w, const LClosure *c) {
  const Proto *p;
  int j;
  w->live += sizeLclosure(c->nupvalues);
  if (c->p == NULL) return;
  p = AT(w, Proto, c->p);
  if (p->root != NULL && AT(w, Proto, p->root)->text != NULL) meetchunk(w, p->root);
  else if (w->err == NULL) w->err = "a function without source";
  for (j = 0; j < c->nupvalues; j++)
    if (c->upvals[j] != NULL) meet(w, c->upvals[j], K_UPV);
}

static void walkobject (Walk *w, uint32_t i) {
  void *o = AT(w, void, w->objs[i]);
  int j;
  switch (w->kinds[i]) {
    case K_STR: {
      TString *s = (TString *)o;
      size_t l = tsslen(s);
      w->live += s->tt == LUA_TSHRSTR ? DBAY_SHORT_BYTES(l) : sizelstring(l);
      break;
    }
    case K_TAB: walktable(w, (Table *)o); break;
    case K_LCL: walkclosure(w, (LClosure *)o); break;
    case K_CCL: {
      CClosure *c = (CClosure *)o;
      w->live += sizeCclosure(c->nupvalues);
      if (dbay_cfindex(c->f) == 0 && w->err == NULL) w->err = "a C function of another world";
      for (j = 0; j < c->nupvalues; j++) meetvalue(w, &c->upvalue[j]);
      break;
    }
    case K_THREAD: walkthread(w, (lua_State *)o); break;
    case K_UPV:
      w->live += DBAY_UPVAL_BYTES;
      meetvalue(w, AT(w, TValue, ((UpVal *)o)->v));
      break;
    case K_UDATA:
      w->live += sizeudata((Udata *)o);
      if (w->err == NULL) w->err = "a userdata";
      break;
    default: break;
  }
}

/* The globals, in the registry. */
const TValue *dbay_walkglobals (const Walk *w) {
  const Table *registry = AT(w, Table, hvalue(&w->g->l_registry));
  return &AT(w, TValue, registry->array)[LUA_RIDX_GLOBALS - 1];
}

static int ready (Walk *w, const lua_State *L, ptrdiff_t off) {
  memset(w, 0, sizeof(Walk));
  w->off = off;
  w->g = AT(w, global_State, AT(w, lua_State, L)->l_G);
  w->base = (const uint8_t *)w->g->ud;
  w->cells = dbay_arenabytes(w->base + off) / 16;
  w->cap = 256;
  w->capchunks = 16;
  w->ids = (uint32_t *)calloc(w->cells, sizeof(uint32_t));
  w->objs = (void **)malloc(w->cap * sizeof(void *));
  w->kinds = (uint8_t *)malloc(w->cap);
  w->chunks = (Proto **)malloc(w->capchunks * sizeof(Proto *));
  return w->ids != NULL && w->objs != NULL && w->kinds != NULL && w->chunks != NULL;
}

/* From the globals and the basic metatables; and, in the middle of a run, from the stacks. The world's
** bytes are read 'off' away from its addresses: a copy can be walked while the world itself goes on. */
void dbay_walk (Walk *w, lua_State *L, lua_State *running, ptrdiff_t off) {
  uint32_t i;
  if (!ready(w, L, off)) {
    nomemory(w);
    return;
  }
  meetvalue(w, dbay_walkglobals(w));
  for (i = 0; i < LUA_NUMTAGS; i++)
    if (w->g->mt[i] != NULL) meet(w, w->g->mt[i], K_TAB);
  if (running != NULL) {
    meet(w, L, K_THREAD);
    meet(w, running, K_THREAD);
  }
  for (i = 0; i < w->n && !w->nomemory; i++) walkobject(w, i);
}

void dbay_walkfree (Walk *w) {
  free(w->ids);
  free(w->objs);
  free(w->kinds);
  free(w->chunks);
}
