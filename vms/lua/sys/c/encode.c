/* A world at rest to bytes. Equal worlds give equal bytes, on any machine: objects are numbered in the
** order of the walk, tables keep their physical layout (it decides the order of iteration), functions are
** named by their source text, and nothing is an address. */
#include "dbay.h"

typedef struct Buf {
  uint8_t *p;
  size_t n, cap;
} Buf;

typedef struct Open {
  const UpVal *upval;
  uint32_t thread;
} Open;

typedef struct Enc {
  Walk w;
  uint64_t *consts;  /* of each K_CONST: chunk << 32 | number */
  uint32_t cfmap[256];
  unsigned cflist[256], ncf;
  Open *open;  /* open upvalue -> thread's number */
  size_t openmask;
  Buf head, body, tail;
  const char *err;
} Enc;

static void failed (Enc *e, const char *why) {
  if (e->err == NULL) e->err = why;
}

static int room (Enc *e, Buf *b, size_t k) {
  size_t cap;
  uint8_t *p;
  if (b->cap - b->n >= k) return 1;
  cap = b->cap ? b->cap * 2 : 4096;
  if (cap < b->n + k) cap = b->n + k;
  p = (uint8_t *)realloc(b->p, cap);
  if (p == NULL) {
    e->w.nomemory = 1;
    failed(e, "no memory to write it");
    return 0;
  }
  b->p = p;
  b->cap = cap;
  return 1;
}

static void put1 (Enc *e, Buf *b, unsigned x) {
  if (room(e, b, 1)) b->p[b->n++] = (uint8_t)x;
}

static void putv (Enc *e, Buf *b, uint64_t x) {
  if (!room(e, b, 10)) return;
  while (x >= 128) {
    b->p[b->n++] = (uint8_t)(x | 128);
    x >>= 7;
  }
  b->p[b->n++] = (uint8_t)x;
}

static void putz (Enc *e, Buf *b, int64_t x) {
  putv(e, b, ((uint64_t)x << 1) ^ (uint64_t)(x >> 63));
}

static void putb (Enc *e, Buf *b, const void *s, size_t n) {
  if (!room(e, b, n)) return;
  if (n > 0) memcpy(b->p + b->n, s, n);
  b->n += n;
}

static void puttext (Enc *e, Buf *b, const TString *s) {
  putv(e, b, tsslen(s));
  putb(e, b, getstr(s), tsslen(s));
}

static void putfloat (Enc *e, Buf *b, lua_Number n) {
  uint64_t w = DBAY_NAN;
  uint8_t le[8];
  int i;
  if (n == n) memcpy(&w, &n, 8);
  for (i = 0; i < 8; i++) le[i] = (uint8_t)(w >> (8 * i));
  putb(e, b, le, 8);
}

static unsigned cfid (Enc *e, lua_CFunction f) {
  unsigned index = dbay_cfindex(f);
  if (index == 0) {
    failed(e, "a C function of another world");
    return 0;
  }
  if (e->cfmap[index] == 0) {
    e->cflist[e->ncf] = index;
    e->cfmap[index] = ++e->ncf;
  }
  return e->cfmap[index] - 1;
}

static void putid (Enc *e, Buf *b, const void *o) {
  int64_t id = dbay_walkid(&e->w, o);
  if (id < 0) failed(e, "an object that the walk did not meet");
  putv(e, b, (uint64_t)id);
}

static void putval (Enc *e, Buf *b, const TValue *v) {
  switch (ttype(v)) {
    case LUA_TNIL: put1(e, b, V_NIL); break;
    case LUA_TBOOLEAN: put1(e, b, bvalue(v) ? V_TRUE : V_FALSE); break;
    case LUA_TNUMINT: put1(e, b, V_INT); putz(e, b, ivalue(v)); break;
    case LUA_TNUMFLT: put1(e, b, V_FLT); putfloat(e, b, fltvalue(v)); break;
    case LUA_TLCF: put1(e, b, V_CF); putv(e, b, cfid(e, fvalue(v))); break;
    case LUA_TTHREAD:
      if (thvalue(v) == e->w.g->mainthread) { put1(e, b, V_MAIN); break; }
      /* FALLTHROUGH */
    case LUA_TSHRSTR: case LUA_TLNGSTR: case LUA_TTABLE: case LUA_TLCL: case LUA_TCCL:
      put1(e, b, V_OBJ);
      putid(e, b, gcvalue(v));
      break;
    default: failed(e, "a value that cannot be kept");
  }
}

/* ---- constants: a long string that a chunk's text makes is written as its place in the chunk */

static void constantsof (Enc *e, const Proto *p, uint64_t chunk, uint32_t *number) {
  const TValue *k = AT(&e->w, TValue, p->k);
  Proto **inner = AT(&e->w, Proto *, p->p);
  int i;
  for (i = 0; i < p->sizek; i++)
    if (ttislngstring(&k[i])) {
      int64_t id = dbay_walkid(&e->w, tsvalue(&k[i]));
      if (id >= 0 && e->w.kinds[id] == K_STR) {
        e->w.kinds[id] = K_CONST;
        e->consts[id] = chunk << 32 | *number;
      }
      ++*number;
    }
  for (i = 0; i < p->sizep; i++) constantsof(e, AT(&e->w, Proto, inner[i]), chunk, number);
}

/* ---- coroutines: 't' is where one is read, and everything in it is an address of the world */

static void putframe (Enc *e, const lua_State *t, const CallInfo *ci, int last) {
  Buf *b = &e->body;
  if (ci->callstatus & (CIST_HOOKED | CIST_HOOKYIELD | CIST_FIN | CIST_LEQ))
    failed(e, "a frame inside of an operation");
  putv(e, b, ci->callstatus & (CIST_LUA | CIST_YPCALL | CIST_TAIL));
  putv(e, b, (uint64_t)(ci->func - t->stack));
  putz(e, b, ci->nresults);
  if (isLua(ci)) {
    const TValue *f = AT(&e->w, TValue, ci->func);
    const Proto *p = AT(&e->w, Proto, AT(&e->w, LClosure, clLvalue(f))->p);
    putv(e, b, (uint64_t)(ci->u.l.base - t->stack));
    putv(e, b, (uint64_t)(ci->u.l.savedpc - p->code));
    putv(e, b, (uint64_t)(ci->u.l.blk - p->code));
    return;
  }
  if (ci->u.c.k == dbay_k_finishpcall()) {
    put1(e, b, 1);
    putv(e, b, (uint64_t)ci->u.c.ctx);
    putv(e, b, (uint64_t)ci->u.c.old_errfunc / sizeof(TValue));
  }
  else {
    if (ci->u.c.k != NULL || !last) failed(e, "a C function that cannot be left");
    put1(e, b, 0);
  }
  putv(e, b, (uint64_t)ci->extra / sizeof(TValue));
}

static void putthread (Enc *e, lua_State *self) {
  const lua_State *t = AT(&e->w, lua_State, self);
  int state = dbay_threadstate(t, self);
  size_t i, size = (size_t)(t->top - t->stack);
  unsigned n = 0;
  CallInfo *ci;
  putv(e, &e->head, t->stamp);
  put1(e, &e->head, (unsigned)state);
  if (state == T_DONE || state == T_BROKEN) return;
  if (state == T_NEW && t->ci != &self->base_ci) {
    failed(e, "a coroutine that runs");
    return;
  }
  for (ci = &self->base_ci; ci != t->ci; ci = AT(&e->w, CallInfo, ci)->next) n++;
  putv(e, &e->head, size);
  putv(e, &e->head, n);
  for (i = 0; i < size; i++) putval(e, &e->body, &AT(&e->w, TValue, t->stack)[i]);
  putv(e, &e->body, (uint64_t)t->errfunc / sizeof(TValue));
  for (ci = &self->base_ci; ci != t->ci;) {
    ci = AT(&e->w, CallInfo, ci)->next;
    putframe(e, t, AT(&e->w, CallInfo, ci), ci == t->ci);
  }
}

/* ---- objects */

static void puttable (Enc *e, const Table *t) {
  Buf *b = &e->body;
  const TValue *array = AT(&e->w, TValue, t->array);
  unsigned i;
  putv(e, &e->head, t->stamp);
  putv(e, &e->head, t->sizearray);
  put1(e, &e->head, t->lastfree == NULL ? DBAY_DUMMY : t->lsizenode);
  for (i = 0; i < t->sizearray; i++) putval(e, b, &array[i]);
  if (t->lastfree != NULL) {
    const Node *nodes = AT(&e->w, Node, t->node);
    for (i = 0; i < (unsigned)sizenode(t); i++) {
      const Node *n = &nodes[i];
      putval(e, b, gkey(n));
      if (ttisnil(gkey(n))) continue;
      putval(e, b, gval(n));
      putz(e, b, gnext(n));
    }
    putv(e, b, (uint64_t)(t->lastfree - t->node));
  }
  if (t->metatable == NULL) putv(e, b, 0);
  else putv(e, b, (uint64_t)dbay_walkid(&e->w, t->metatable) + 1);
}

static void putclosure (Enc *e, const LClosure *c) {
  const Proto *p = AT(&e->w, Proto, c->p);
  int j;
  putv(e, &e->head, c->stamp);
  putid(e, &e->head, p->root);
  putv(e, &e->head, p->index);
  for (j = 0; j < c->nupvalues; j++) putid(e, &e->body, c->upvals[j]);
}

static void putobject (Enc *e, uint32_t i) {
  void *o = AT(&e->w, void, e->w.objs[i]);
  int j;
  put1(e, &e->head, e->w.kinds[i]);
  switch (e->w.kinds[i]) {
    case K_STR: puttext(e, &e->head, (TString *)o); break;
    case K_CONST:
      putv(e, &e->head, e->consts[i] >> 32);
      putv(e, &e->head, e->consts[i] & 0xffffffff);
      break;
    case K_TAB: puttable(e, (Table *)o); break;
    case K_LCL: putclosure(e, (LClosure *)o); break;
    case K_CCL: {
      CClosure *c = (CClosure *)o;
      putv(e, &e->head, c->stamp);
      putv(e, &e->head, cfid(e, c->f));
      for (j = 0; j < c->nupvalues; j++) putval(e, &e->body, &c->upvalue[j]);
      break;
    }
    case K_THREAD: putthread(e, (lua_State *)e->w.objs[i]); break;
    case K_UPV: break;
    default: failed(e, "a value that cannot be kept");
  }
}

/* ---- upvalues: closed ones have a value, open ones a place on a stack */

static size_t openplace (const Enc *e, const void *p) {
  return (size_t)(((uint64_t)(size_t)p >> 4) * 0x9E3779B97F4A7C15ull >> 24) & e->openmask;
}

static UpVal *firstopen (const Enc *e, uint32_t i) {
  return e->w.kinds[i] == K_THREAD ? AT(&e->w, lua_State, e->w.objs[i])->openupval : NULL;
}

static void mapopen (Enc *e) {
  uint32_t i;
  size_t n = 1, cap = 16;
  UpVal *u;
  for (i = 0; i < e->w.n; i++)
    for (u = firstopen(e, i); u != NULL; u = AT(&e->w, UpVal, u)->u.open.next) n++;
  while (cap < n * 2) cap *= 2;
  e->open = (Open *)calloc(cap, sizeof(Open));
  e->openmask = cap - 1;
  if (e->open == NULL) {
    e->w.nomemory = 1;
    failed(e, "no memory to write it");
    return;
  }
  for (i = 0; i < e->w.n; i++)
    for (u = firstopen(e, i); u != NULL; u = AT(&e->w, UpVal, u)->u.open.next) {
      size_t j = openplace(e, u);
      while (e->open[j].upval != NULL) j = (j + 1) & e->openmask;
      e->open[j].upval = u;
      e->open[j].thread = i;
    }
}

/* An upvalue that is open in a coroutine nobody can reach any more has its value for ever. */
static void putupval (Enc *e, const UpVal *self) {
  const UpVal *u = AT(&e->w, UpVal, self);
  if (u->v != &self->u.value) {
    size_t j = openplace(e, self);
    while (e->open[j].upval != NULL) {
      if (e->open[j].upval == self) {
        const lua_State *t = AT(&e->w, lua_State, e->w.objs[e->open[j].thread]);
        put1(e, &e->tail, DBAY_OPEN);
        putv(e, &e->tail, e->open[j].thread);
        putv(e, &e->tail, (uint64_t)(u->v - t->stack));
        return;
      }
      j = (j + 1) & e->openmask;
    }
  }
  putval(e, &e->tail, AT(&e->w, TValue, u->v));
}

/* ---- the whole */

static void putworld (Enc *e) {
  uint32_t i, number;
  int k;
  for (i = 0; i < e->w.nchunks; i++) {
    number = 0;
    constantsof(e, AT(&e->w, Proto, e->w.chunks[i]), i, &number);
  }
  mapopen(e);
  if (e->err != NULL) return;
  putval(e, &e->body, dbay_walkglobals(&e->w));
  for (k = 0; k < LUA_NUMTAGS; k++) {
    if (e->w.g->mt[k] == NULL) put1(e, &e->body, V_NIL);
    else {
      put1(e, &e->body, V_OBJ);
      putid(e, &e->body, e->w.g->mt[k]);
    }
  }
  for (i = 0; i < e->w.n && e->err == NULL; i++) putobject(e, i);
  for (i = 0; i < e->w.n && e->err == NULL; i++)
    if (e->w.kinds[i] == K_UPV) putupval(e, (UpVal *)e->w.objs[i]);
}

static void joined (Enc *e, Buf *out) {
  unsigned k;
  uint32_t i;
  room(e, out, e->head.n + e->body.n + e->tail.n + 4096);
  putb(e, out, DBAY_MAGIC, 4);
  putv(e, out, e->w.g->birth);
  putv(e, out, e->w.g->counted);
  putv(e, out, e->ncf);
  for (k = 0; k < e->ncf; k++) {
    const char *s = dbay_cfname(e->cflist[k]);
    putv(e, out, strlen(s));
    putb(e, out, s, strlen(s));
  }
  putv(e, out, e->w.nchunks);
  putv(e, out, e->w.n);
  for (i = 0; i < e->w.nchunks; i++) {
    const Proto *p = AT(&e->w, Proto, e->w.chunks[i]);
    puttext(e, out, AT(&e->w, TString, p->source));
    puttext(e, out, AT(&e->w, TString, p->text));
  }
  putb(e, out, e->head.p, e->head.n);
  putb(e, out, e->body.p, e->body.n);
  putb(e, out, e->tail.p, e->tail.n);
}

/* The world as bytes, to be given back to dbay_free: what lies 'off' from its own addresses, and is only
** read. 0 if it is done; 1 if the world holds something that cannot be kept, with *err; 2 if the host has no
** memory. */
int dbay_encode (lua_State *L, ptrdiff_t off, uint8_t **out, size_t *len, const char **err) {
  Enc *e = (Enc *)calloc(1, sizeof(Enc));
  Buf b = {0};
  int status;
  if (e == NULL) return 2;
  dbay_walk(&e->w, L, NULL, off);
  e->err = e->w.err;
  if (e->err == NULL) {
    e->consts = (uint64_t *)calloc((size_t)e->w.n + 1, sizeof(uint64_t));
    if (e->consts == NULL) {
      e->w.nomemory = 1;
      failed(e, "no memory to write it");
    }
    else putworld(e);
  }
  if (e->err == NULL) joined(e, &b);
  status = e->err == NULL ? 0 : e->w.nomemory ? 2 : 1;
  *err = e->err;
  *out = b.p;
  *len = b.n;
  if (status != 0) {
    free(b.p);
    *out = NULL;
  }
  dbay_walkfree(&e->w);
  free(e->consts);
  free(e->open);
  free(e->head.p);
  free(e->body.p);
  free(e->tail.p);
  free(e);
  return status;
}

void dbay_free (void *p) { free(p); }
