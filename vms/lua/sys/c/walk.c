/* Every object of a world, breadth first from its roots: what an image holds, and what a census counts.
** Nothing here depends on addresses or on the collector. */
#include "dbay.h"

static size_t place (const void *p, size_t mask) {
  return (size_t)(((uint64_t)(size_t)p >> 4) * 0x9E3779B97F4A7C15ull >> 24) & mask;
}

static void nomemory (Walk *w) {
  w->nomemory = 1;
  if (w->err == NULL) w->err = "no memory to walk it";
}

static int growmap (Walk *w) {
  size_t n = (w->mask + 1) * 2, i;
  Entry *map = (Entry *)calloc(n, sizeof(Entry));
  if (map == NULL) { nomemory(w); return 0; }
  for (i = 0; i <= w->mask; i++)
    if (w->map[i].key != NULL) {
      size_t j = place(w->map[i].key, n - 1);
      while (map[j].key != NULL) j = (j + 1) & (n - 1);
      map[j] = w->map[i];
    }
  free(w->map);
  w->map = map;
  w->mask = n - 1;
  return 1;
}

/* The entry of 'o', which is made if it is new. */
static Entry *entry (Walk *w, void *o, int *isnew) {
  size_t j;
  if (w->used * 2 > w->mask && !growmap(w)) return NULL;
  j = place(o, w->mask);
  while (w->map[j].key != NULL) {
    if (w->map[j].key == o) { *isnew = 0; return &w->map[j]; }
    j = (j + 1) & w->mask;
  }
  w->map[j].key = o;
  w->used++;
  *isnew = 1;
  return &w->map[j];
}

int64_t dbay_walkid (Walk *w, const void *o) {
  size_t j = place(o, w->mask);
  while (w->map[j].key != NULL) {
    if (w->map[j].key == o) return w->map[j].id;
    j = (j + 1) & w->mask;
  }
  return -1;
}

static void meet (Walk *w, void *o, int kind) {
  int isnew;
  Entry *e;
  if (w->nomemory) return;
  e = entry(w, o, &isnew);
  if (e == NULL || !isnew) return;
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
  e->id = w->n;
  w->objs[w->n] = o;
  w->kinds[w->n++] = (uint8_t)kind;
}

static void meetchunk (Walk *w, Proto *root) {
  int isnew;
  Entry *e;
  if (w->nomemory) return;
  e = entry(w, root, &isnew);
  if (e == NULL || !isnew) return;
  if (w->nchunks == w->capchunks) {
    uint32_t cap = w->capchunks * 2;
    Proto **chunks = (Proto **)realloc(w->chunks, cap * sizeof(Proto *));
    if (chunks == NULL) { nomemory(w); return; }
    w->chunks = chunks;
    w->capchunks = cap;
  }
  e->id = w->nchunks;
  w->chunks[w->nchunks++] = root;
  w->live += DBAY_CHUNK_BYTES(tsslen(root->text));
}

static void meetvalue (Walk *w, const TValue *v) {
  switch (ttype(v)) {
    case LUA_TSHRSTR: case LUA_TLNGSTR: meet(w, tsvalue(v), K_STR); break;
    case LUA_TTABLE: meet(w, hvalue(v), K_TAB); break;
    case LUA_TLCL: meet(w, clLvalue(v), K_LCL); break;
    case LUA_TCCL: meet(w, clCvalue(v), K_CCL); break;
    case LUA_TTHREAD:
      if (thvalue(v) != G(w->L)->mainthread) meet(w, thvalue(v), K_THREAD);
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

static void walktable (Walk *w, Table *t) {
  unsigned i;
  w->live += sizeof(Table) + (size_t)t->sizearray * DBAY_SLOT_BYTES;
  for (i = 0; i < t->sizearray; i++) meetvalue(w, &t->array[i]);
  if (t->lastfree != NULL) {
    w->live += (size_t)sizenode(t) * DBAY_NODE_BYTES;
    for (i = 0; i < (unsigned)sizenode(t); i++) {
      Node *n = gnode(t, i);
      if (ttisnil(gkey(n))) continue;
      meetvalue(w, gkey(n));
      meetvalue(w, gval(n));
    }
  }
  if (t->metatable != NULL) meet(w, t->metatable, K_TAB);
}

static void walkthread (Walk *w, lua_State *t) {
  StkId o, end;
  w->live += DBAY_THREAD_BYTES;
  if (t->stack == NULL) return;
  if (t->stacksize > BASIC_STACK_SIZE)
    w->live += (size_t)(t->stacksize - BASIC_STACK_SIZE) * DBAY_SLOT_BYTES;
  end = dbay_extent(t);
  for (o = t->stack; o < end; o++) meetvalue(w, o);
}

static void walkobject (Walk *w, uint32_t i) {
  void *o = w->objs[i];
  int j;
  switch (w->kinds[i]) {
    case K_STR: {
      TString *s = (TString *)o;
      size_t l = tsslen(s);
      w->live += s->tt == LUA_TSHRSTR ? DBAY_SHORT_BYTES(l) : sizelstring(l);
      break;
    }
    case K_TAB: walktable(w, (Table *)o); break;
    case K_LCL: {
      LClosure *c = (LClosure *)o;
      w->live += sizeLclosure(c->nupvalues);
      if (c->p == NULL) break;
      if (c->p->root != NULL && c->p->root->text != NULL) meetchunk(w, c->p->root);
      else if (w->err == NULL) w->err = "a function without source";
      for (j = 0; j < c->nupvalues; j++)
        if (c->upvals[j] != NULL) meet(w, c->upvals[j], K_UPV);
      break;
    }
    case K_CCL: {
      CClosure *c = (CClosure *)o;
      w->live += sizeCclosure(c->nupvalues);
      if (dbay_cfindex(c->f) == 0 && w->err == NULL) w->err = "a C function of another world";
      for (j = 0; j < c->nupvalues; j++) meetvalue(w, &c->upvalue[j]);
      break;
    }
    case K_THREAD: walkthread(w, (lua_State *)o); break;
    case K_UPV: w->live += DBAY_UPVAL_BYTES; meetvalue(w, ((UpVal *)o)->v); break;
    case K_UDATA:
      w->live += sizeudata((Udata *)o);
      if (w->err == NULL) w->err = "a userdata";
      break;
    default: break;
  }
}

/* From the globals and the basic metatables; and, in the middle of a run, from the stacks. */
void dbay_walk (Walk *w, lua_State *L, lua_State *running) {
  uint32_t i;
  memset(w, 0, sizeof(Walk));
  w->L = L;
  w->mask = 1023;
  w->cap = 256;
  w->capchunks = 16;
  w->map = (Entry *)calloc(w->mask + 1, sizeof(Entry));
  w->objs = (void **)malloc(w->cap * sizeof(void *));
  w->kinds = (uint8_t *)malloc(w->cap);
  w->chunks = (Proto **)malloc(w->capchunks * sizeof(Proto *));
  if (w->map == NULL || w->objs == NULL || w->kinds == NULL || w->chunks == NULL) {
    nomemory(w);
    return;
  }
  meetvalue(w, luaH_getint(hvalue(&G(L)->l_registry), LUA_RIDX_GLOBALS));
  for (i = 0; i < LUA_NUMTAGS; i++)
    if (G(L)->mt[i] != NULL) meet(w, G(L)->mt[i], K_TAB);
  if (running != NULL) {
    meet(w, L, K_THREAD);
    meet(w, running, K_THREAD);
  }
  for (i = 0; i < w->n && !w->nomemory; i++) walkobject(w, i);
}

void dbay_walkfree (Walk *w) {
  free(w->map);
  free(w->objs);
  free(w->kinds);
  free(w->chunks);
}
