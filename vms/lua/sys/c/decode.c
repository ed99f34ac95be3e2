/* Bytes to a world. They may come from anybody, so whatever the interpreter trusts is checked here:
** bytecode is never taken, only source text, so that a frame can lie about no more than its place, its slots
** and its links. A world has one image, so all that encode.c decides is held to as well: the order of objects,
** chunks and C functions is that of their first mention, all are mentioned, and no text is there twice. */
#include "dbay.h"

typedef struct Chunk {
  Proto **protos;
  uint32_t nprotos;
  TString **consts;
  uint32_t nconsts;
} Chunk;

typedef struct Dec {
  lua_State *L;
  dbay_arena *arena;
  const uint8_t *p, *end;
  const char *err;
  int nomemory;
  uint64_t claimed;  /* slots of tables and stacks: each takes a byte of the image */
  void **objs;
  uint8_t *kinds;
  uint32_t *frames;  /* of a coroutine: its state, and above it its frames, then its place in 'slots'. Of a C
                     ** closure: its function. Of an upvalue: one more than the object it holds */
  uint32_t n;
  uint32_t *first;   /* one more than who mentioned it first: 1 the roots, then objects in turn */
  uint32_t now;      /* the same, of what is being read */
  uint32_t met;      /* objects up to the largest that was mentioned */
  uint32_t last;     /* one more than the object of the value that was read last */
  uint32_t *slots;   /* the same, of each slot of a stack */
  uint32_t nslots, atslot;
  dbay_text *texts;  /* short ones that are not in the table of texts yet */
  uint32_t ntexts;
  int tail;          /* upvalues are read: what they mention is put in its place later */
  unsigned cf[256], ncf, usedcf;
  Chunk *chunks;
  uint32_t nchunks, usedchunks;
} Dec;

/* Bits of 'marked' that the collector leaves alone: a text that the image had already, a constant that its
** chunk had already. Nobody looks at them after the image was read. */
#define TEXT_READ 6
#define CONSTANT_READ 5

static l_noret refuse (Dec *d, const char *why) {
  if (d->err == NULL) d->err = why;
  luaD_throw(d->L, LUA_ERRRUN);
}

static l_noret nomemory (Dec *d) {
  d->nomemory = 1;
  refuse(d, "no memory to read it");
}

/* Holds anything, until the world is committed. */
static void *scratch (Dec *d, size_t n) {
  void *p = dbay_arenalend(d->arena, n, 0);
  if (p == NULL) nomemory(d);
  return p;
}

static size_t rest (const Dec *d) { return (size_t)(d->end - d->p); }

static void claim (Dec *d, uint64_t n) {
  d->claimed += n;
  if (d->claimed > rest(d)) refuse(d, "more slots than the image has bytes");
}

static unsigned get1 (Dec *d) {
  if (d->p >= d->end) refuse(d, "it ends early");
  return *d->p++;
}

/* Up to eight bytes of a number at once, where there are so many and words begin with their lowest byte. */
static inline int getword (Dec *d, uint64_t *x) {
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint64_t w, ends;
  if (rest(d) < 8) return 0;
  memcpy(&w, d->p, 8);
  ends = ~w & 0x8080808080808080ull;
  if (ends == 0) return 0;
  ends &= -ends;                                /* of the last byte's bits, the highest */
  if (ends > 0x80 && (w & (ends - (ends >> 7))) == 0) return 0;  /* it adds nothing */
  w &= (ends - 1) & 0x7f7f7f7f7f7f7f7full;
  w = (w & 0x007f007f007f007full) | (w >> 1 & 0x3f803f803f803f80ull);
  w = (w & 0x00003fff00003fffull) | (w >> 2 & 0x0fffc0000fffc000ull);
  *x = (w & 0x000000000fffffffull) | (w >> 4 & 0x00fffffff0000000ull);
  d->p += (__builtin_ctzll(ends) + 1) / 8;
  return 1;
#else
  (void)d; (void)x;
  return 0;
#endif
}

static uint64_t getlong (Dec *d) {
  uint64_t x = 0;
  int s = 0;
  unsigned c;
  do {
    c = get1(d);
    if (s > 63 || (s == 63 && (c & 127) > 1)) refuse(d, "a number over 64 bits");
    x |= (uint64_t)(c & 127) << s;
    s += 7;
  } while (c & 128);
  if (c == 0 && s > 7) refuse(d, "a number that is longer than it must be");
  return x;
}

static inline uint64_t getv (Dec *d) {
  uint64_t x;
  if (d->p < d->end && *d->p < 128) return *d->p++;  /* most are short */
  return getword(d, &x) ? x : getlong(d);
}

static uint64_t getmax (Dec *d, uint64_t max, const char *why) {
  uint64_t x = getv(d);
  if (x > max) refuse(d, why);
  return x;
}

static int64_t getz (Dec *d) {
  uint64_t x = getv(d);
  return (int64_t)(x >> 1) ^ -(int64_t)(x & 1);
}

static const uint8_t *getb (Dec *d, size_t n) {
  const uint8_t *q = d->p;
  if (rest(d) < n) refuse(d, "it ends early");
  d->p += n;
  return q;
}

static lua_Number getfloat (Dec *d) {
  const uint8_t *q = getb(d, 8);
  uint64_t w = 0;
  lua_Number n;
  int i;
  for (i = 0; i < 8; i++) w |= (uint64_t)q[i] << (8 * i);
  memcpy(&n, &w, 8);
  if (n != n && w != DBAY_NAN) refuse(d, "another NaN than ours");
  return n;
}

static void mention (Dec *d, uint64_t i) {
  d->last = (uint32_t)i + 1;
  if (i < d->met || d->tail) return;
  while (d->met < i) d->first[d->met++] = 0;
  d->first[d->met++] = d->now;
}

static void *getobject (Dec *d, int kind, const char *why) {
  uint64_t i = getv(d);
  if (i >= d->n || d->kinds[i] != kind) refuse(d, why);
  mention(d, i);
  return d->objs[i];
}

/* Of values by the kinds of their objects, where a text that is not short is a K_CONST. */
static const int tags[] = {
  [K_STR] = ctb(LUA_TSHRSTR), [K_CONST] = ctb(LUA_TLNGSTR), [K_TAB] = ctb(LUA_TTABLE), [K_LCL] = ctb(LUA_TLCL),
  [K_CCL] = ctb(LUA_TCCL), [K_THREAD] = ctb(LUA_TTHREAD)
};

static void getref (Dec *d, TValue *v) {
  uint64_t i = getv(d);
  if (i >= d->n) refuse(d, "an object that is not there");
  mention(d, i);
  if (d->kinds[i] == K_UPV) refuse(d, "an upvalue where a value must be");
  val_(v).gc = (GCObject *)d->objs[i];  /* which is not looked at: most are far away */
  settt_(v, tags[d->kinds[i]]);
}

/* C functions are listed in the order of their first use. */
static lua_CFunction usecf (Dec *d, unsigned i) {
  if (i > d->usedcf) refuse(d, "C functions out of order");
  if (i == d->usedcf) d->usedcf++;
  return dbay_cffunction(d->cf[i]);
}

static void getval (Dec *d, TValue *v) {
  d->last = 0;
  switch (get1(d)) {
    case V_NIL: setnilvalue(v); break;
    case V_FALSE: setbvalue(v, 0); break;
    case V_TRUE: setbvalue(v, 1); break;
    case V_INT: { lua_Integer x = getz(d); setivalue(v, x); break; }
    case V_FLT: { lua_Number n = getfloat(d); setfltvalue(v, n); break; }
    case V_CF: {
      unsigned i = (unsigned)getmax(d, 255, "a C function that is not there");
      if (i >= d->ncf) refuse(d, "a C function that is not there");
      if (dbay_cfneeds(d->cf[i]) != 0) refuse(d, "a C function without its upvalues");
      setfvalue(v, usecf(d, i));
      break;
    }
    case V_MAIN: setthvalue(d->L, v, G(d->L)->mainthread); break;
    case V_OBJ: getref(d, v); break;
    default: refuse(d, "a kind of value that is not there");
  }
}

/* ---- chunks: compiled from their text */

typedef struct Text {
  const char *s;
  size_t n;
} Text;

static const char *readtext (lua_State *L, void *ud, size_t *n) {
  Text *t = (Text *)ud;
  (void)L;
  *n = t->n;
  t->n = 0;
  return *n ? t->s : NULL;
}

static void sizes (const Proto *p, uint32_t *protos, uint32_t *consts) {
  int i;
  ++*protos;
  for (i = 0; i < p->sizek; i++)
    if (ttislngstring(&p->k[i])) ++*consts;
  for (i = 0; i < p->sizep; i++) sizes(p->p[i], protos, consts);
}

/* A constant that a chunk has in several places is known by the first. */
static void collect (Chunk *c, Proto *p) {
  int i;
  c->protos[p->index] = p;
  for (i = 0; i < p->sizek; i++)
    if (ttislngstring(&p->k[i])) {
      TString *s = tsvalue(&p->k[i]);
      c->consts[c->nconsts++] = testbit(s->marked, CONSTANT_READ) ? NULL : s;
      l_setbit(s->marked, CONSTANT_READ);
    }
  for (i = 0; i < p->sizep; i++) collect(c, p->p[i]);
}

static int same (const TString *s, const char *p, size_t n) {
  return s != NULL && tsslen(s) == n && memcmp(getstr(s), p, n) == 0;
}

static void getchunk (Dec *d, Chunk *c) {
  lua_State *L = d->L;
  size_t n = getmax(d, rest(d), "a name longer than the image");
  const char *s = (const char *)getb(d, n);
  char *name;
  Text text;
  size_t size;
  Proto *root;
  uint32_t consts = 0;
  if (memchr(s, 0, n) != NULL) refuse(d, "a chunk's name with a zero");
  name = (char *)lua_newuserdata(L, n + 1);  /* goes with the stack */
  memcpy(name, s, n);
  name[n] = 0;
  size = text.n = getmax(d, rest(d), "a text longer than the image");
  text.s = (const char *)getb(d, size);
  if (lua_load(L, readtext, &text, name, "t") != LUA_OK) refuse(d, "a chunk that does not compile");
  root = clLvalue(L->top - 1)->p;
  if (!same(root->source, s, n) || !same(root->text, text.s, size)) refuse(d, "a chunk of another text");
  sizes(root, &c->nprotos, &consts);
  c->protos = (Proto **)scratch(d, c->nprotos * sizeof(Proto *));
  c->consts = (TString **)scratch(d, consts * sizeof(TString *));
  collect(c, root);
  L->top -= 2;  /* the collector rests */
}

/* ---- heads: what is needed to make an object */

static TString *once (Dec *d, TString *s) {
  if (testbit(s->marked, TEXT_READ)) refuse(d, "a text that is there already");
  l_setbit(s->marked, TEXT_READ);
  return s;
}

static TString *getconst (Dec *d) {
  uint64_t c = getv(d), i = getv(d);
  if (c >= d->nchunks || i >= d->chunks[c].nconsts || d->chunks[c].consts[i] == NULL)
    refuse(d, "a constant that is not there");
  return once(d, d->chunks[c].consts[i]);
}

/* Its slots and nodes hold anything until its body was read, which writes them all; the collector rests. */
static void makeroom (lua_State *L, Table *t, unsigned array, unsigned log) {
  if (array > 0) {
    t->array = luaM_newvector(L, array, TValue);
    t->sizearray = array;
  }
  if (log == DBAY_DUMMY) return;
  t->node = luaM_newvector(L, (size_t)1 << log, Node);
  t->lsizenode = (lu_byte)log;
  t->lastfree = gnode(t, sizenode(t));
}

static Table *newtable (Dec *d) {
  Table *t = luaH_new(d->L);
  uint64_t stamp = getv(d), left = rest(d), array;
  unsigned hash;
  array = getmax(d, left, "a table larger than the image");
  hash = get1(d);
  if (hash != DBAY_DUMMY && (hash > 30 || (1ull << hash) > left))
    refuse(d, "a table larger than the image");
  claim(d, array + (hash == DBAY_DUMMY ? 0 : 1ull << hash));
  makeroom(d->L, t, (unsigned)array, hash);
  t->flags = 0;
  t->stamp = stamp;
  return t;
}

static LClosure *newclosure (Dec *d) {
  uint64_t stamp = getv(d), c = getv(d), i = getv(d);
  LClosure *f;
  Proto *p;
  if (c >= d->nchunks || i >= d->chunks[c].nprotos) refuse(d, "a function that is not there");
  if (c > d->usedchunks) refuse(d, "chunks out of order");
  if (c == d->usedchunks) d->usedchunks++;
  p = d->chunks[c].protos[i];
  f = luaF_newLclosure(d->L, p->sizeupvalues);
  f->p = p;
  f->stamp = stamp;
  return f;
}

static CClosure *newcclosure (Dec *d, uint32_t at) {
  uint64_t stamp = getv(d), i = getv(d);
  CClosure *c;
  int j, n;
  if (i >= d->ncf) refuse(d, "a C function that is not there");
  n = dbay_cfneeds(d->cf[i]);
  if (n == 0) refuse(d, "a C function with upvalues, which it has not");
  c = luaF_newCclosure(d->L, n);
  c->f = dbay_cffunction(d->cf[i]);
  d->frames[at] = (uint32_t)i;
  c->stamp = stamp;
  for (j = 0; j < n; j++) setnilvalue(&c->upvalue[j]);
  return c;
}

static lua_State *newthread (Dec *d, uint32_t i) {
  lua_State *t = lua_newthread(d->L);
  unsigned state;
  d->L->top--;  /* the collector rests */
  t->stamp = getv(d);
  state = get1(d);
  if (state > T_BROKEN) refuse(d, "a state that no coroutine has");
  d->frames[i] = state;
  if (state == T_BROKEN) t->status = LUA_ERRRUN;
  if (state == T_NEW || state == T_YIELDED) {
    uint64_t top = getmax(d, LUAI_MAXSTACK, "a stack that is too large");
    uint64_t frames = getmax(d, LUAI_MAXSTACK, "a coroutine with too many frames");
    if (top < 1 || top > rest(d) + 1) refuse(d, "a stack larger than the image");
    claim(d, top - 1);
    if (d->nslots + top > (uint64_t)1 << 30) refuse(d, "stacks that are too large");
    d->nslots += (uint32_t)top;
    if ((frames == 0) != (state == T_NEW)) refuse(d, "frames that do not fit the coroutine's state");
    if (state == T_NEW && top != 2) refuse(d, "a coroutine without a function");
    d->frames[i] |= (uint32_t)frames << 2;
    if ((int)top + EXTRA_STACK + LUA_MINSTACK > t->stacksize)
      luaD_reallocstack(t, (int)top + EXTRA_STACK + LUA_MINSTACK);
    t->top = t->stack + top;
  }
  return t;
}

static UpVal *newupval (Dec *d) {
  UpVal *u = luaM_new(d->L, UpVal);
  u->refcount = 0;
  u->v = &u->u.value;
  setnilvalue(u->v);
  return u;
}

static void gettext (Dec *d, uint32_t i) {
  size_t n = getmax(d, rest(d), "a text longer than the image");
  const char *s = (const char *)getb(d, n);
  TString *old;
  dbay_text *t;
  if (n > LUAI_MAXSHORTLEN) {
    d->objs[i] = luaS_newlstr(d->L, s, n);
    d->kinds[i] = K_CONST;
    return;
  }
  t = &d->texts[d->ntexts];
  t->bucket = dbay_bucket(s, n);
  old = dbay_findtext(d->L, s, n, t->bucket);
  if (old != NULL) d->objs[i] = once(d, old);
  else {
    d->objs[i] = dbay_newtext(d->L, s, n);
    t->place = dbay_placeof(d->L, d->objs[i]);
    d->ntexts++;
  }
}

static void puttexts (Dec *d) {
  int done = dbay_puttexts(d->L, d->arena, d->texts, d->ntexts);
  if (done == 0) refuse(d, "a text that is there already");
  if (done < 0) nomemory(d);
}

static void gethead (Dec *d, uint32_t i) {
  unsigned kind = get1(d);
  d->kinds[i] = (uint8_t)kind;
  switch (kind) {
    case K_STR: gettext(d, i); break;
    case K_CONST: d->objs[i] = getconst(d); break;
    case K_TAB: d->objs[i] = newtable(d); break;
    case K_LCL: d->objs[i] = newclosure(d); break;
    case K_CCL: d->objs[i] = newcclosure(d, i); break;
    case K_THREAD: d->objs[i] = newthread(d, i); break;
    case K_UPV: d->objs[i] = newupval(d); break;
    default: refuse(d, "a kind of object that is not there");
  }
}

/* ---- tables */

/* Every key must be found where it lies: along a chain that starts at its main position, and once. */
static void checkkeys (Dec *d, Table *t, const uint8_t *pointed) {
  unsigned j, walked = 0, keys = 0, size = (unsigned)sizenode(t);
  for (j = 0; j < size; j++) {
    Node *n = gnode(t, j);
    if (ttisnil(gkey(n))) {
      if (pointed[j]) refuse(d, "a chain through an empty node");
      continue;
    }
    keys++;
    if (pointed[j]) continue;
    for (;;) {
      walked++;
      if (gnext(n) == 0) break;
      n += gnext(n);
    }
  }
  if (walked != keys) refuse(d, "a chain without an end");
  for (j = 0; j < size; j++) {
    Node *n = gnode(t, j);
    if (ttisnil(gkey(n))) continue;
    if (ttisshrstring(gkey(n)) && gnode(t, lmod(tsvalue(gkey(n))->hash, size)) == n) continue;
    if (luaH_get(t, gkey(n)) != gval(n)) refuse(d, "a key that is not where it belongs");
  }
}

static void getnodes (Dec *d, Table *t, uint8_t *pointed) {
  lua_State *L = d->L;
  unsigned j, size = (unsigned)sizenode(t);
  for (j = 0; j < size; j++) {
    Node *n = gnode(t, j);
    TValue k;
    int64_t next;
    lua_Integer whole;
    getval(d, &k);
    if (ttisnil(&k)) {
      setnilvalue(gval(n));
      setnilvalue(wgkey(n));
      gnext(n) = 0;
      continue;
    }
    if (iscollectable(&k)) NEAR(gcvalue(&k));  /* its hash is looked at soon */
    if (ttisfloat(&k) && (fltvalue(&k) != fltvalue(&k) || luaV_tointeger(&k, &whole, 0)))
      refuse(d, "a key that no table has");
    getval(d, gval(n));
    next = getz(d);
    if (next != 0) {
      if (next < -(int64_t)j || next >= (int64_t)size - (int64_t)j || pointed[j + next])
        refuse(d, "a chain that leads nowhere");
      pointed[j + next] = 1;
    }
    setnodekey(L, &n->i_key, &k);
    gnext(n) = (int)next;
  }
}

static void gettable (Dec *d, Table *t) {
  unsigned j;
  uint64_t m;
  for (j = 0; j < t->sizearray; j++) getval(d, &t->array[j]);
  if (t->lastfree != NULL) {
    unsigned size = (unsigned)sizenode(t);
    uint8_t few[32];
    /* in the world's own memory if it is large, so that a refusal leaves nothing behind */
    uint8_t *pointed = size <= sizeof few ? few : (uint8_t *)luaM_malloc(d->L, size);
    memset(pointed, 0, size);
    getnodes(d, t, pointed);
    checkkeys(d, t, pointed);
    if (pointed != few) luaM_freemem(d->L, pointed, size);
    t->lastfree = t->node + getmax(d, size, "a free node outside of its table");
  }
  m = getmax(d, d->n, "a metatable that is not there");
  if (m != 0) {
    if (d->kinds[m - 1] != K_TAB) refuse(d, "a metatable that is no table");
    mention(d, m - 1);
    t->metatable = (Table *)d->objs[m - 1];
  }
}

/* ---- coroutines */

/* Slots of a parked frame that bytecode trusts without looking: those of numeric loops, all integers or
** all floats; and the table of a constructor that is being filled. */
static void checkslots (Dec *d, Proto *p, StkId base, int pc) {
  int q;
  for (q = 0; q < p->sizecode; q++) {
    Instruction i = p->code[q];
    StkId a = base + GETARG_A(i);
    if (GET_OPCODE(i) == OP_FORPREP && q < pc && pc <= q + 1 + GETARG_sBx(i)) {
      int whole = ttisinteger(a) && ttisinteger(a + 1) && ttisinteger(a + 2);
      int real = ttisfloat(a) && ttisfloat(a + 1) && ttisfloat(a + 2);
      if (!whole && !real) refuse(d, "a loop over something else than numbers");
    }
  }
}

/* A parked Lua frame. Where the callee must sit is left in ci->extra. */
static void getluaframe (Dec *d, lua_State *t, CallInfo *ci) {
  StkId f = ci->func, z;
  int size = cast_int(t->top - t->stack);
  uint64_t base, pc;
  Proto *p;
  Instruction in;
  if (!ttisLclosure(f)) refuse(d, "a frame of no function");
  p = clLvalue(f)->p;
  base = getmax(d, (uint64_t)size, "a frame outside of its stack");
  if (base <= (uint64_t)(f - t->stack)) refuse(d, "a frame that begins before its function");
  if (!p->is_vararg && base != (uint64_t)(f - t->stack) + 1) refuse(d, "a gap before a frame");
  if (p->is_vararg && base < (uint64_t)(f - t->stack) + 1 + p->numparams)
    refuse(d, "a frame without its parameters");
  ci->u.l.base = t->stack + base;
  pc = getmax(d, (uint64_t)p->sizecode, "a place outside of its function");
  if (pc == 0) refuse(d, "a frame that did nothing yet");
  in = p->code[pc - 1];
  if (GET_OPCODE(in) != OP_CALL && GET_OPCODE(in) != OP_TAILCALL && GET_OPCODE(in) != OP_TFORCALL)
    refuse(d, "a frame that is not at a call");
  ci->u.l.savedpc = p->code + pc;
  ci->u.l.blk = p->code + getmax(d, pc, "a debt from the future");
  ci->extra = GETARG_A(in) + (GET_OPCODE(in) == OP_TFORCALL ? 3 : 0);
  if ((int)base + p->maxstacksize > t->stacksize - EXTRA_STACK) {
    ptrdiff_t fs = savestack(t, f);
    if ((int)base + p->maxstacksize > LUAI_MAXSTACK) refuse(d, "a stack that is too large");
    luaD_reallocstack(t, (int)base + p->maxstacksize + EXTRA_STACK);
    f = restorestack(t, fs);
  }
  ci->top = ci->u.l.base + p->maxstacksize;
  for (z = t->top; z < ci->top; z++) setnilvalue(z);
  checkslots(d, p, ci->u.l.base, (int)pc);
}

static void getcframe (Dec *d, lua_State *t, CallInfo *ci, int last) {
  uint64_t slots = (uint64_t)(t->top - t->stack) - 1;
  unsigned k = get1(d);
  if (k > 1 || (k == 0 && !last)) refuse(d, "a C function that cannot go on");
  ci->u.c.k = NULL;
  if (k == 1) {
    if (last) refuse(d, "a protected call that calls nothing");
    if (!ttislcf(ci->func)) refuse(d, "a protected call of no function");
    if (!(ci->callstatus & CIST_YPCALL)) refuse(d, "a protected call that protects nothing");
    ci->u.c.k = dbay_k_finishpcall();
    ci->u.c.ctx = (lua_KContext)getmax(d, 2, "a protected call that began nowhere");
    ci->u.c.old_errfunc =
      (ptrdiff_t)(getmax(d, slots, "a handler outside of the stack") * sizeof(TValue));
  }
  ci->extra = (ptrdiff_t)(getmax(d, slots, "a place outside of the stack") * sizeof(TValue));
  ci->top = t->top;
}

/* The callee sits where the caller's instruction put it, and gives as many results as that wants. */
static void checkcall (Dec *d, lua_State *t, CallInfo *caller, CallInfo *ci, int last) {
  Instruction in;
  StkId have = last ? restorestack(t, ci->extra) : ci->func;
  if (!isLua(caller)) {  /* a coroutine's body, or what a protected call calls */
    if (have <= caller->func || ci->nresults != LUA_MULTRET || (caller == &t->base_ci && have != t->stack + 1))
      refuse(d, "a callee that is not its caller's");
    return;
  }
  in = caller->u.l.savedpc[-1];
  if (have != caller->u.l.base + caller->extra) refuse(d, "a callee that its caller did not call");
  if (GET_OPCODE(in) == OP_CALL && ci->nresults != GETARG_C(in) - 1)
    refuse(d, "a callee with other results than its caller wants");
  if (GET_OPCODE(in) == OP_TFORCALL && ci->nresults != GETARG_C(in))
    refuse(d, "an iterator with other results than its loop wants");
  if (GET_OPCODE(in) == OP_TAILCALL && ci->nresults != LUA_MULTRET)
    refuse(d, "a tail call with a number of results");
  caller->extra = 0;
}

static void checkhandler (Dec *d, lua_State *t, ptrdiff_t at) {
  if (at != 0 && !ttisfunction(restorestack(t, at))) refuse(d, "a handler that is no function");
}

static void getframes (Dec *d, lua_State *t, uint32_t frames) {
  CallInfo *ci = &t->base_ci, *before;
  uint64_t slots = (uint64_t)(t->top - t->stack) - 1;
  uint32_t j;
  for (j = 1; j <= frames; j++) {
    uint64_t status = getmax(d, 0xff, "a frame of no kind");
    int last = j == frames;
    StkId f = t->stack + getmax(d, slots, "a function outside of its stack");
    before = ci;
    if (f <= before->func || (isLua(before) && !last && f < before->u.l.base))
      refuse(d, "frames out of order");
    ci = t->ci = before->next != NULL ? before->next : luaE_extendCI(t);
    ci->func = f;
    ci->callstatus = (unsigned short)status;
    { int64_t n = getz(d);
      if (n < -1 || n > 255) refuse(d, "a number of results that no call wants");
      ci->nresults = (short)n;
    }
    if (status & ~(uint64_t)(CIST_LUA | CIST_YPCALL | CIST_TAIL)) refuse(d, "a frame of no kind");
    if (status & CIST_LUA) {
      if (last || (status & CIST_YPCALL)) refuse(d, "a Lua function that yields by itself");
      getluaframe(d, t, ci);
    }
    else getcframe(d, t, ci, last);
    checkcall(d, t, before, ci, last);
  }
}

static void getthread (Dec *d, uint32_t i) {
  lua_State *t = (lua_State *)d->objs[i];
  unsigned state = d->frames[i] & 3;
  uint32_t frames = d->frames[i] >> 2;
  CallInfo *ci = &t->base_ci;
  StkId o;
  if (state == T_DONE || state == T_BROKEN) return;
  d->frames[i] = state | d->atslot << 2;
  for (o = t->stack; o < t->top; o++) setnilvalue(o);
  for (o = t->stack; o < t->top; o++) {
    getval(d, o);
    d->slots[d->atslot++] = d->last;
  }
  t->errfunc = (ptrdiff_t)(getmax(d, (uint64_t)(t->top - t->stack) - 1,
                                  "a handler outside of the stack") * sizeof(TValue));
  if (!ttisnil(t->stack)) refuse(d, "something below a stack");
  if (state == T_NEW) {
    if (t->errfunc != 0 || !ttisfunction(t->stack + 1)) refuse(d, "a coroutine without a function");
  }
  else {
    t->status = LUA_YIELD;
    getframes(d, t, frames);
    /* the yield keeps one slot for itself, and what it gave was taken */
    if (t->top != t->ci->func + 1) refuse(d, "something above the top");
    checkhandler(d, t, t->errfunc);
    for (ci = t->ci; ci != &t->base_ci; ci = ci->previous)
      if (!isLua(ci) && ci->u.c.k != NULL) checkhandler(d, t, ci->u.c.old_errfunc);
    if (t->stacksize != dbay_parksize(t)) luaD_reallocstack(t, dbay_parksize(t));
  }
  t->nCcalls = 0;
}

/* ---- closures and upvalues */

static void getcclosure (Dec *d, CClosure *c, unsigned f) {
  const char *name = dbay_cfname(d->cf[f]);
  TValue *u = c->upvalue;
  int j;
  usecf(d, f);
  for (j = 0; j < c->nupvalues; j++) getval(d, &u[j]);
  if (strcmp(name, "~wrap") == 0) {
    if (!ttisthread(&u[0])) refuse(d, "a wrapped coroutine that is none");
    return;
  }
  /* gmatch: subject, pattern, position, end of the last match */
  if (!ttisstring(&u[0]) || !ttisstring(&u[1]) || !ttisinteger(&u[2]) || !ttisinteger(&u[3]))
    refuse(d, "a search without what it needs");
  if (ivalue(&u[2]) < 0 || (uint64_t)ivalue(&u[2]) > vslen(&u[0]) || ivalue(&u[3]) < -1 ||
      ivalue(&u[3]) > ivalue(&u[2]))
    refuse(d, "a search outside of its subject");
}

/* An open upvalue is an active local variable of a parked frame. */
static void checkopen (Dec *d, lua_State *t, StkId slot) {
  CallInfo *ci;
  for (ci = t->ci; ci != &t->base_ci; ci = ci->previous) {
    Proto *p;
    const char *name;
    if (!isLua(ci) || slot < ci->u.l.base) continue;
    p = clLvalue(ci->func)->p;
    name = luaF_getlocalname(p, cast_int(slot - ci->u.l.base) + 1, pcRel(ci->u.l.savedpc, p));
    if (name == NULL || name[0] == '(') refuse(d, "an upvalue that is no variable");
    return;
  }
  refuse(d, "an upvalue outside of all frames");
}

/* What it holds is left in d->last. */
static void getupval (Dec *d, UpVal *u) {
  lua_State *t;
  uint64_t i, slot;
  UpVal **pp;
  StkId v;
  if (d->p >= d->end || *d->p != DBAY_OPEN) {
    getval(d, u->v);
    return;
  }
  d->p++;
  i = getv(d);
  if (i >= d->n || d->kinds[i] != K_THREAD || (d->frames[i] & 3) != T_YIELDED)
    refuse(d, "an upvalue on the stack of no coroutine");
  t = (lua_State *)d->objs[i];
  slot = getmax(d, (uint64_t)(t->top - t->stack) - 1, "an upvalue outside of its stack");
  v = t->stack + slot;
  checkopen(d, t, v);
  d->last = d->slots[(d->frames[i] >> 2) + slot];
  pp = &t->openupval;
  while (*pp != NULL && (*pp)->v > v) pp = &(*pp)->u.open.next;
  if (*pp != NULL && (*pp)->v == v) refuse(d, "two upvalues in one slot");
  u->v = v;
  u->u.open.next = *pp;
  u->u.open.touched = 0;
  *pp = u;
}

static void getbody (Dec *d, uint32_t i) {
  int j;
  d->now = i + 2;
  switch (d->kinds[i]) {
    case K_TAB: gettable(d, (Table *)d->objs[i]); break;
    case K_LCL: {
      LClosure *c = (LClosure *)d->objs[i];
      for (j = 0; j < c->nupvalues; j++) {
        c->upvals[j] = (UpVal *)getobject(d, K_UPV, "an upvalue that is none");
        c->upvals[j]->refcount++;
      }
      break;
    }
    case K_CCL: getcclosure(d, (CClosure *)d->objs[i], d->frames[i]); break;
    case K_THREAD: getthread(d, i); break;
    default: break;
  }
}

/* ---- the whole */

/* Objects are numbered as the walk of walk.c meets them: each by an earlier one, and in the order of their first
** mention. Bodies were read in that order, and left who first mentioned what; upvalues, whose values come after
** all bodies, are put in their places now. */
static void checkorder (Dec *d) {
  uint32_t i, met = 0;
  while (d->met < d->n) d->first[d->met++] = 0;
  while (met < d->n && d->first[met] == 1) met++;
  for (i = 0; i < d->n; i++) {
    if (i >= met) refuse(d, "an object that nothing leads to");
    if (d->kinds[i] == K_UPV) {
      uint32_t held = d->frames[i];
      if (held <= met) continue;  /* nothing, or what was met */
      if (held > met + 1 || (d->first[met] != 0 && d->first[met] < i + 2))
        refuse(d, "objects out of order");
      met++;
    }
    else
      while (met < d->n && d->first[met] == i + 2) met++;
  }
  if (met != d->n) refuse(d, "objects out of order");
  if (d->usedchunks != d->nchunks) refuse(d, "a chunk without a function");
  if (d->usedcf != d->ncf) refuse(d, "a C function that nothing uses");
}

static void getnames (Dec *d) {
  unsigned i, j;
  d->ncf = (unsigned)getmax(d, 255, "too many C functions");
  for (i = 0; i < d->ncf; i++) {
    size_t n = getmax(d, 100, "a C function that is not there");
    d->cf[i] = dbay_cfbyname((const char *)getb(d, n), n);
    if (d->cf[i] == 0) refuse(d, "a C function that is not there");
    for (j = 0; j < i; j++)
      if (d->cf[j] == d->cf[i]) refuse(d, "a C function that is there already");
  }
}

static void getworld (lua_State *L, void *ud) {
  Dec *d = (Dec *)ud;
  global_State *g = G(L);
  uint64_t birth, counted;
  uint32_t i;
  int k;
  TValue v;
  if (rest(d) < 4 || memcmp(getb(d, 4), DBAY_MAGIC, 4) != 0) refuse(d, "no world in it");
  birth = getv(d);
  counted = getmax(d, (uint64_t)1 << 62, "more memory than there is");
  getnames(d);
  d->nchunks = (uint32_t)getmax(d, rest(d) < 0x7fffffff ? rest(d) : 0x7fffffff, "too many chunks");
  d->n = (uint32_t)getmax(d, rest(d) < 0x7fffffff ? rest(d) : 0x7fffffff, "too many objects");
  d->chunks = (Chunk *)scratch(d, d->nchunks * sizeof(Chunk));
  memset(d->chunks, 0, d->nchunks * sizeof(Chunk));
  d->objs = (void **)scratch(d, d->n * sizeof(void *));
  d->kinds = (uint8_t *)scratch(d, d->n);
  d->texts = (dbay_text *)scratch(d, d->n * sizeof(dbay_text));
  d->frames = (uint32_t *)scratch(d, d->n * sizeof(uint32_t));
  d->first = (uint32_t *)scratch(d, d->n * sizeof(uint32_t));
  for (i = 0; i < d->nchunks; i++) getchunk(d, &d->chunks[i]);
  /* a text that is not there yet is to meet no other */
  if (d->n / 8 > (uint32_t)g->strt.nuse) luaS_resize(L, g->strt.nuse * 8);
  for (i = 0; i < d->n; i++) gethead(d, i);
  puttexts(d);
  d->slots = (uint32_t *)scratch(d, d->nslots * sizeof(uint32_t));
  d->now = 1;
  getval(d, &v);
  if (!ttistable(&v)) refuse(d, "globals that are no table");
  luaH_setint(L, hvalue(&g->l_registry), LUA_RIDX_GLOBALS, &v);
  for (k = 0; k < LUA_NUMTAGS; k++) {
    getval(d, &v);
    if (ttistable(&v)) g->mt[k] = hvalue(&v);
    else if (ttisnil(&v)) g->mt[k] = NULL;
    else refuse(d, "a metatable that is no table");
  }
  for (i = 0; i < d->n; i++) getbody(d, i);
  d->tail = 1;
  for (i = 0; i < d->n; i++)
    if (d->kinds[i] == K_UPV) {
      getupval(d, (UpVal *)d->objs[i]);
      d->frames[i] = d->last;
    }
  if (d->p != d->end) refuse(d, "more than a world in it");
  checkorder(d);
  g->birth = birth;
  g->counted = counted;
}

/* Into a fresh state, which lies in this arena. 0 if it is done, 1 if the image is refused, with *err, 2 if the host has
** no memory. After a failure the state is good for nothing but being dropped. */
int dbay_decode (lua_State *L, dbay_arena *arena, const uint8_t *p, size_t n, const char **err) {
  Dec d;
  int status;
  memset(&d, 0, sizeof d);
  d.L = L;
  d.arena = arena;
  d.p = p;
  d.end = p + n;
  G(L)->gcrunning = 0;
  G(L)->fuel = MAX_LMEM;
  dbay_cur = NULL;
  status = luaD_rawrunprotected(L, getworld, &d);
  lua_settop(L, 0);
  if (status == LUA_OK && L->stacksize != BASIC_STACK_SIZE) luaD_reallocstack(L, BASIC_STACK_SIZE);
  *err = d.err != NULL ? d.err : "it cannot be read";
  if (status == LUA_OK) {
    G(L)->gcrunning = 1;
    luaE_setdebt(G(L), -(l_mem)gettotalbytes(G(L)));
  }
  if (status == LUA_OK) return 0;
  return d.nomemory || G(L)->fault == DBAY_EXHAUSTED ? 2 : 1;
}
