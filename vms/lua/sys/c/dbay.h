/* What the files of this folder share: Lua's private headers, the registry of C functions, the walk. */
#ifndef dbay_h
#define dbay_h

#define LUA_CORE
#include "lprefix.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#include "lapi.h"
#include "ldebug.h"
#include "ldo.h"
#include "lfunc.h"
#include "lgc.h"
#include "lmem.h"
#include "lobject.h"
#include "lopcodes.h"
#include "lstate.h"
#include "lstring.h"
#include "ltable.h"
#include "lvm.h"
#include "lzio.h"

#if defined(__GNUC__)
#define NEAR(p) __builtin_prefetch(p)
#else
#define NEAR(p) ((void)(p))
#endif

/* ---- what a run has besides its world; it lies outside of the arena */

typedef struct dbay_bytes {
  const char *data;
  size_t len;
} dbay_bytes;

/* Answers of the two questions that a guest may ask its host. None of them may unwind. */
typedef struct dbay_run {
  void *host;
  /* a printed line; 0 if there is no more room for output */
  int (*print) (void *host, const char *text, size_t len);
  /* data by id, bytes [from, from+len): 1 with *out set, 0 if absent, -1 if the host has no answer */
  int (*read) (void *host, const char *id, size_t idlen, uint64_t from, uint64_t len, dbay_bytes *out,
               uint64_t *total);
  int64_t time_ms;
  int64_t fuel;  /* at the start */
} dbay_run;

/* ---- vm.c */

extern _Thread_local lua_State *dbay_cur;
unsigned dbay_cfindex (lua_CFunction f);
const char *dbay_cfname (unsigned index);
lua_CFunction dbay_cffunction (unsigned index);
unsigned dbay_cfbyname (const char *name, size_t len);
int dbay_cfneeds (unsigned index);  /* upvalues: 0 for none, else the number */
unsigned long long dbay_stampof (lua_State *L, int idx);
void dbay_charge (lua_State *L, size_t n);
void dbay_fail (lua_State *L, int fault);
StkId dbay_extent (lua_State *th);
int dbay_parksize (lua_State *co);
lua_KFunction dbay_k_finishpcall (void);
Node *dbay_mainposition (const Table *t, const TValue *key);

/* ---- libs.c */

typedef struct dbay_function {
  const char *name;
  lua_CFunction function;
  int upvalues;
} dbay_function;
void dbay_openlibs (lua_State *L);
const dbay_function *dbay_functions (unsigned *count);

/* ---- walk.c: every object of a world, in one order */

enum { K_STR, K_TAB, K_LCL, K_CCL, K_THREAD, K_UPV, K_CONST, K_UDATA, K_CHUNK };

typedef struct Walk {
  ptrdiff_t off;        /* from an address of the world to where its bytes are read */
  const global_State *g;
  const char *err;      /* why this world has no image, or no count */
  int nomemory;         /* ours to lack, not the guest's */
  size_t live;          /* what its objects count as */
  const uint8_t *base;  /* the world's first address */
  uint32_t *ids;        /* of its cells, from 1 */
  size_t cells;
  void **objs;          /* addresses of the world */
  uint8_t *kinds;
  uint32_t n, cap;
  Proto **chunks;
  uint32_t nchunks, capchunks;
} Walk;

/* Where the bytes at an address of the world are read. */
#define AT(w,T,p) ((T *)(void *)((uint8_t *)(p) + (w)->off))

void dbay_walk (Walk *w, lua_State *L, lua_State *running, ptrdiff_t off);
void dbay_walkfree (Walk *w);
int64_t dbay_walkid (const Walk *w, const void *o);  /* -1 if not met */
const TValue *dbay_walkglobals (const Walk *w);
size_t dbay_arenabytes (const void *base);

/* ---- arena.c */

typedef struct dbay_arena dbay_arena;
void *dbay_arenalend (dbay_arena *a, size_t n, int filled);

/* ---- texts.c: those of an image get their places in the table of texts all at once */

typedef struct dbay_text {
  unsigned bucket;
  uint32_t place;  /* in the arena */
} dbay_text;
uint32_t dbay_placeof (const lua_State *L, const void *text);
int dbay_puttexts (lua_State *L, dbay_arena *arena, dbay_text *texts, uint32_t n);

/* ---- an image's bytes */

enum { V_NIL, V_FALSE, V_TRUE, V_INT, V_FLT, V_OBJ, V_CF, V_MAIN };
enum { T_NEW, T_YIELDED, T_DONE, T_BROKEN };  /* a coroutine at rest */
#define DBAY_MAGIC "DBL1"
#define DBAY_NAN 0x7ff8000000000000ull
#define DBAY_DUMMY 0xff  /* size of a hash part that is not there */
#define DBAY_OPEN 0xff   /* instead of a value: an upvalue that lies on a stack */

int dbay_threadstate (const lua_State *t, lua_State *self);

#endif
