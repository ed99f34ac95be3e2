/* Memory of one world: a span of addresses, a deterministic allocator in it, and beside it a copy of the
** last committed state. Committing and going back cost the pages that were written, where the kernel lists
** them (Linux 6.7: userfaultfd with asynchronous write protection, PAGEMAP_SCAN); elsewhere all is copied.
** A state that somebody holds on to has a layer: what the copy was, page by page, before it was written
** over. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

#define PAGE ((size_t)4096)
#define RETURNED ((size_t)4 << 20)
#define BROUGHT ((size_t)1 << 20)  /* the least that is worth more calls of the kernel */
#define SMALL 64    /* classes of 16 bytes each, up to 1 KiB */
#define CLASSES (SMALL + 128)

/* Lies at the start of the span, so it is committed and taken back like everything else. */
typedef struct Head {
  size_t bump, end;
  size_t ready;  /* up to where pages were asked for ahead; 0 if they are not */
  int faults;    /* the arena's, meanwhile */
  void *freed[CLASSES];
} Head;

typedef struct dbay_arena {
  uint8_t *live, *copy;
  size_t span;
  size_t committed;  /* bytes of 'copy' that mean something */
  size_t warm;       /* bytes of both that are there already, from a world before */
  size_t lent;       /* bytes of 'copy' that were lent to who reads a world, or 0 */
  size_t from, to;   /* what this commit copied already */
  int faults;        /* the descriptor that watches, or -1 */
  int left;          /* 'live' is no more than an address */
  uint8_t *shadow;   /* of the committed state, under the sanitizer */
  size_t shadows;
} dbay_arena;

typedef struct dbay_layer {
  size_t used;       /* bytes of the state that it stands for */
  uint8_t *kept;     /* a bit for each of their pages */
  size_t n, cap;
  size_t *places;
  uint8_t *pages;
  int lost;          /* there was no memory for a page */
} dbay_layer;

/* ---- under the address sanitizer: what is not given out is hidden, and what is committed or taken back keeps
** its shadow. Elsewhere this is nothing. */

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HIDE(p, n) __asan_poison_memory_region((p), (n))
#define SHOW(p, n) __asan_unpoison_memory_region((p), (n))

/* memcpy would be stopped at what is hidden. */
__attribute__((no_sanitize_address, noinline))
static void copybytes (void *to, const void *from, size_t n) {
  volatile uint64_t *t = (volatile uint64_t *)to;
  const volatile uint64_t *f = (const volatile uint64_t *)from;
  size_t i;
  for (i = 0; i < (n + 7) / 8; i++) t[i] = f[i];  /* of whole pages, or words */
}

static uint8_t *shadow (const dbay_arena *a) {
  size_t scale, offset;
  __asan_get_shadow_mapping(&scale, &offset);
  return (uint8_t *)(((size_t)a->live >> scale) + offset);
}

__attribute__((no_sanitize_address))
static void keepshadow (dbay_arena *a, size_t used, int back) {
  uint8_t *s = shadow(a);
  size_t n = (used + 7) / 8, i, old = (a->committed + 7) / 8;
  if (back) {
    for (i = 0; i < n || i < old; i++) s[i] = i < a->shadows ? a->shadow[i] : 0;  /* as if never used */
    return;
  }
  a->shadow = (uint8_t *)realloc(a->shadow, n);
  for (i = 0; i < n; i++) a->shadow[i] = s[i];
  a->shadows = n;
}
#else
#define HIDE(p, n) ((void)0)
#define SHOW(p, n) ((void)0)
#define copybytes memcpy
#define keepshadow(a, used, back) ((void)0)
#endif

/* ---- fresh memory: a page that is touched for the first time costs more than to copy it; many at once cost less */

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

/* The whole pages in [p, p+n), where the kernel has a way (Linux 5.14). */
static void populate (void *p, size_t n) {
#if defined(__linux__)
  size_t from = ((size_t)p + PAGE - 1) & ~(PAGE - 1), to = ((size_t)p + n) & ~(PAGE - 1);
  int e = errno;
  if (to > from + 4 * PAGE) madvise((void *)from, to - from, MADV_POPULATE_WRITE);
  errno = e;
#else
  (void)p; (void)n;
#endif
}

#if defined(__linux__)
/* Whole pages that are not there yet, with bytes from elsewhere, which costs less than to ask for them. How many bytes
** went well; 'fd' watches over where they go. */
static size_t deliver (int fd, uint8_t *to, const uint8_t *from, size_t n) {
  struct piece { uint64_t to, from, len, mode; int64_t done; };
  size_t all = 0;
  int e = errno, failed = 0;
  while (all < n && !failed) {
    struct piece p = {(uint64_t)(size_t)(to + all), (uint64_t)(size_t)(from + all), n - all, 0, 0};
    failed = ioctl(fd, _IOWR(0xAA, 0x03, struct piece), &p) != 0 && (errno != EAGAIN || p.done <= 0);
    if (p.done > 0) all += (size_t)p.done;
  }
  errno = e;
  return all;
}
#else
static size_t deliver (int fd, uint8_t *to, const uint8_t *from, size_t n) {
  (void)fd; (void)to; (void)from; (void)n;
  return 0;
}
#endif

static size_t deliverzeros (int fd, uint8_t *to, size_t n) {
  static uint8_t zeros[64 * PAGE];
  size_t all = 0, len, done;
  do {
    len = n - all < sizeof zeros ? n - all : sizeof zeros;
    done = deliver(fd, to + all, zeros, len);
    all += done;
  } while (all < n && done == len);
  return all;
}

static size_t pages (size_t n) { return (n + PAGE - 1) & ~(PAGE - 1); }

/* A world that is read takes all that it needs in few goes. */
static void ahead (Head *h) {
  size_t from = pages(h->ready), to = pages(h->bump + h->bump / 64 + 16 * PAGE);
  if (to > h->end) to = h->end;
  if (h->faults >= 0) from += deliverzeros(h->faults, (uint8_t *)h + from, to - from);
  populate((uint8_t *)h + from, to - from);
  h->ready = to;
}

/* ---- the allocator: the same calls give the same places */

static int sizeclass (size_t n, size_t *size) {
  int k = 10, i = 0;
  size_t m, q;
  if (n <= 1024) {
    size_t c = (n + 15) / 16;
    if (c == 0) c = 1;
    *size = c * 16;
    return (int)c - 1;
  }
  while (((size_t)1 << (k + 1)) < n) k++;
  q = (size_t)1 << (k - 2);
  for (m = (size_t)1 << k; m < n; m += q) i++;
  *size = m;
  return SMALL + (k - 10) * 4 + i;
}

static void release (Head *h, void *p, int class, size_t size) {
  SHOW(p, size);
  *(void **)p = h->freed[class];
  h->freed[class] = p;
  HIDE(p, size);
  (void)size;
}

void *dbay_alloc (void *ud, void *p, size_t old, size_t n) {
  Head *h = (Head *)ud;
  size_t oldsize, size;
  int oldclass = p != NULL ? sizeclass(old, &oldsize) : -1, class;
  void *q;
  if (n == 0) {
    if (p != NULL) release(h, p, oldclass, oldsize);
    return NULL;
  }
  if (n > (size_t)1 << 40) return NULL;
  class = sizeclass(n, &size);
  if (class == oldclass) {
    HIDE(p, size);
    SHOW(p, n);
    return p;
  }
  q = h->freed[class];
  if (q != NULL) {
    SHOW(q, size);
    h->freed[class] = *(void **)q;
  }
  else {
    if (size > h->end - h->bump) return NULL;
    q = (uint8_t *)h + h->bump;
    h->bump += size;
    if (h->ready != 0 && h->bump > h->ready) ahead(h);
  }
  HIDE(q, size);
  SHOW(q, n);
  if (p != NULL) {
    memcpy(q, p, old < n ? old : n);
    release(h, p, oldclass, oldsize);
  }
  return q;
}

/* ---- layers */

static int more (dbay_layer *l) {
  size_t cap = l->cap ? l->cap * 2 : 16;
  size_t *places = (size_t *)realloc(l->places, cap * sizeof(size_t));
  uint8_t *pages;
  if (places == NULL) return 0;
  l->places = places;
  pages = (uint8_t *)realloc(l->pages, cap * PAGE);
  if (pages == NULL) return 0;
  l->pages = pages;
  l->cap = cap;
  return 1;
}

/* Keeps a page that is about to change, unless an older one is kept already. */
static void keep (dbay_layer *l, size_t at, const uint8_t *page) {
  size_t i = at / PAGE;
  if (at >= l->used || (l->kept[i / 8] >> (i % 8) & 1)) return;
  if (l->n == l->cap && !more(l)) {
    l->lost = 1;
    return;
  }
  l->kept[i / 8] |= (uint8_t)(1 << (i % 8));
  l->places[l->n] = at;
  memcpy(l->pages + l->n++ * PAGE, page, PAGE);
}

/* For the state as it was last committed; NULL if there is no memory. */
dbay_layer *dbay_layernew (const dbay_arena *a) {
  dbay_layer *l = (dbay_layer *)calloc(1, sizeof(dbay_layer));
  if (l == NULL) return NULL;
  l->used = a->committed;
  l->kept = (uint8_t *)calloc(l->used / PAGE / 8 + 1, 1);
  if (l->kept == NULL) {
    free(l);
    return NULL;
  }
  return l;
}

void dbay_layerfree (dbay_layer *l) {
  free(l->kept);
  free(l->places);
  free(l->pages);
  free(l);
}

size_t dbay_layerbytes (const dbay_layer *l) { return l->n * PAGE; }

/* Nobody needs 'newer' for itself any more; 'l', the one before it, takes what it still lacks. */
void dbay_layermerge (dbay_layer *l, const dbay_layer *newer) {
  size_t i;
  for (i = 0; i < newer->n; i++) keep(l, newer->places[i], newer->pages + i * PAGE);
  l->lost |= newer->lost;
}

/* ---- a state that was committed once, laid out again */

typedef struct dbay_view {
  uint8_t *bytes;
  size_t len;
  ptrdiff_t off;  /* from the world's addresses */
} dbay_view;

/* The state of layers[0], of which the others are what came after, in order. 0 if there is no memory. */
int dbay_viewnew (const dbay_arena *a, dbay_layer *const *layers, size_t n, dbay_view *v) {
  size_t used = layers[0]->used, i;
  void *p;
  for (i = 0; i < n; i++)
    if (layers[i]->lost) return 0;
  v->len = (used + PAGE - 1) & ~(PAGE - 1);
  p = mmap(NULL, v->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return 0;
  populate(p, v->len);
  v->bytes = (uint8_t *)p;
  v->off = v->bytes - a->live;
  memcpy(v->bytes, a->copy, used);
  while (n-- > 0)
    for (i = 0; i < layers[n]->n; i++)
      if (layers[n]->places[i] < used)
        memcpy(v->bytes + layers[n]->places[i], layers[n]->pages + i * PAGE, PAGE);
  return 1;
}

void dbay_viewfree (dbay_view *v) { munmap(v->bytes, v->len); }

/* From the world's addresses to the copy. */
ptrdiff_t dbay_copyoff (const dbay_arena *a) { return a->copy - a->live; }

/* ---- which pages were written */

static void copypages (dbay_arena *a, dbay_layer *l, size_t from, size_t len) {
  size_t i;
  for (i = 0; l != NULL && i < len; i += PAGE) keep(l, from + i, a->copy + from + i);
  if (a->from <= from && from + len <= a->to) return;
  if (from < a->from && a->from < from + len && from + len <= a->to) len = a->from - from;
  copybytes(a->copy + from, a->live + from, len);
}

static void distrust (dbay_arena *a) {
  close(a->faults);
  a->faults = -1;
}

#if defined(__linux__)
struct api { uint64_t api, features, ioctls; };
struct registration { uint64_t start, len, mode, ioctls; };
struct region { uint64_t start, end, categories; };
struct scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, all, any, report;
};
#define REGIONS 512
#define WP_UNPOPULATED ((uint64_t)1 << 13)
#define WP_ASYNC ((uint64_t)1 << 15)

static int pagemap (void) {
  static int fd = -2;
  int have = __atomic_load_n(&fd, __ATOMIC_ACQUIRE), none = -2;
  if (have != -2) return have;
  have = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (!__atomic_compare_exchange_n(&fd, &none, have, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    if (have >= 0) close(have);
    return none;
  }
  return have;
}

/* Copies the pages of the first 'end' bytes that were written, one way or the other, and watches them
** again. 0 if the kernel will not say. */
static int written (dbay_arena *a, size_t end, int back, dbay_layer *l) {
  struct region regions[REGIONS];
  uint64_t at = (uint64_t)(size_t)a->live, limit = at + ((end + PAGE - 1) & ~(PAGE - 1));
  size_t known = (a->committed + PAGE - 1) & ~(PAGE - 1);
  while (at < limit) {
    struct scan s = {sizeof s, 3, at, limit, 0, (uint64_t)(size_t)regions, REGIONS, 0, 0, 2, 0, 2};
    long n = ioctl(pagemap(), _IOWR('f', 16, struct scan), &s), i;
    if (n < 0 || s.walk_end <= at) return 0;
    for (i = 0; i < n; i++) {
      size_t from = (size_t)(regions[i].start - (uint64_t)(size_t)a->live);
      size_t len = (size_t)(regions[i].end - regions[i].start);
      if (back && from >= a->committed) continue;
      if (back) copybytes(a->live + from, a->copy + from, from + len > known ? known - from : len);
      else copypages(a, l, from, len);
    }
    at = s.walk_end;
  }
  return 1;
}

static int watch (dbay_arena *a) {
  struct api api = {0xAA, WP_ASYNC | WP_UNPOPULATED, 0};
  struct registration r = {(uint64_t)(size_t)a->live, a->span, 2, 0};
  int fd;
  if (pagemap() < 0) return -1;
  fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
  if (fd < 0) return -1;
  if (ioctl(fd, _IOWR(0xAA, 0x3F, struct api), &api) != 0 ||
      ioctl(fd, _IOWR(0xAA, 0x00, struct registration), &r) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* Copies [from, to) of 'live', of which 'copy' has no page yet. Up to where that went well. */
static size_t bring (dbay_arena *a, size_t from, size_t to) {
  struct range { uint64_t start, len; } r = {(uint64_t)(size_t)(a->copy + from), to - from};
  struct registration g = {r.start, r.len, 1, 0};
  int e = errno;
  if (ioctl(a->faults, _IOWR(0xAA, 0x00, struct registration), &g) == 0) {
    from += deliver(a->faults, a->copy + from, a->live + from, to - from);
    /* whoever read there would wait for somebody to bring a page */
    if (ioctl(a->faults, _IOR(0xAA, 0x01, struct range), &r) != 0) distrust(a);
  }
  errno = e;
  return from;
}

/* The first 'n' bytes can be written without a fault each, and count as written. */
static int unwatched (dbay_arena *a, size_t n) {
  struct protection { uint64_t start, len, mode; } p = {(uint64_t)(size_t)a->live, n, 0};
  return n == 0 || ioctl(a->faults, _IOWR(0xAA, 0x06, struct protection), &p) == 0;
}
#else
static int written (dbay_arena *a, size_t end, int back, dbay_layer *l) {
  (void)a; (void)end; (void)back; (void)l;
  return 0;
}
static int watch (dbay_arena *a) { (void)a; return -1; }
static size_t bring (dbay_arena *a, size_t from, size_t to) { (void)a; (void)to; return from; }
static int unwatched (dbay_arena *a, size_t n) { (void)a; (void)n; return 0; }
#endif

/* ---- commit and going back */

static uint8_t *reserve (size_t span) {
  void *p = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#if defined(MADV_NOHUGEPAGE)
  if (p != MAP_FAILED) madvise(p, span, MADV_NOHUGEPAGE);
#endif
  return p == MAP_FAILED ? NULL : (uint8_t *)p;
}

size_t dbay_arenaused (const dbay_arena *a);

/* The world is gone; its last committed state may still be read. */
void dbay_arenaleave (dbay_arena *a) {
  if (a->faults >= 0) close(a->faults);
  if (a->live != NULL && !a->left) {
    SHOW(a->live, dbay_arenaused(a));
    munmap(a->live, a->span);
  }
  a->faults = -1;
  a->left = 1;
}

void dbay_arenafree (dbay_arena *a) {
  if (a == NULL) return;
  dbay_arenaleave(a);
  if (a->copy != NULL) munmap(a->copy, a->span);
  free(a->shadow);
  free(a);
}

static size_t greater (size_t a, size_t b) { return a > b ? a : b; }

static void headless (dbay_arena *a) {
  Head *h = (Head *)(void *)a->live;
  h->bump = (sizeof(Head) + PAGE - 1) & ~(PAGE - 1);
  h->end = a->span;
}

/* 'tracked': let the kernel list written pages, if it will. NULL if there are no addresses left. */
dbay_arena *dbay_arenanew (size_t span, int tracked) {
  dbay_arena *a = (dbay_arena *)calloc(1, sizeof(dbay_arena));
  if (a == NULL) return NULL;
  a->span = span;
  a->faults = -1;
  a->live = reserve(span);
  a->copy = reserve(span);
  if (a->live == NULL || a->copy == NULL) {
    dbay_arenafree(a);
    return NULL;
  }
  if (tracked) a->faults = watch(a);
  headless(a);
  return a;
}

static void give (uint8_t *half, size_t from, size_t to) {
  if (from < to) madvise(half + from, to - from, MADV_DONTNEED);
}

/* Bytes of each half that may be in memory, of an arena that could be used again: 0 if it could not. */
size_t dbay_arenaextent (const dbay_arena *a) {
  if (a->left || a->faults < 0) return 0;
  return pages(greater(greater(dbay_arenaused(a), a->committed), greater(a->warm, a->lent)));
}

/* The world is gone, and nobody holds a state of it: an empty arena again, of which 'most' bytes of each half, no more
** than its extent, stay in memory. The half where a world lies is zeros; the other is written over by commits before
** anything is read there, and what they did not write goes with dbay_arenatrim. The bytes that stay, or 0 if it
** cannot be used again. */
size_t dbay_arenaretire (dbay_arena *a, size_t most) {
  size_t all = dbay_arenaextent(a);
  SHOW(a->live, all);
  most &= ~(PAGE - 1);
  if (most > all) return 0;
  give(a->live, most, all);
  give(a->copy, most, all);
  if (!unwatched(a, most)) return 0;
  memset(a->live, 0, most);
  a->committed = a->shadows = a->lent = 0;
  a->warm = most;
  headless(a);
  return most;
}

/* A world is committed. Of what is in memory from before, what it has no use for goes back to the machine, and so does
** all that its copy did not write over. */
void dbay_arenatrim (dbay_arena *a) {
  size_t used = dbay_arenaused(a);
  give(a->live, pages(used + used / 4), a->warm);
  give(a->copy, pages(used), greater(a->warm, a->lent));
  a->warm = a->lent = 0;
}

/* What is committed next is not there yet, so until then its place serves who reads it: 'n' bytes, which hold anything,
** and of which all will be written if they are to be 'filled'. NULL if there are no addresses left. */
void *dbay_arenalend (dbay_arena *a, size_t n, int filled) {
  size_t from = (greater(a->committed, a->lent) + 15) & ~(size_t)15;
  if (n > a->span - from) return NULL;
  a->lent = from + n;
  if (filled) { size_t there = greater(from, a->warm);
    if (a->lent > there) populate(a->copy + there, a->lent - there);
  }
  return a->copy + from;
}

void *dbay_arenaud (dbay_arena *a) { return a->live; }
/* Bytes of the world that lies here, or a copy of it. */
size_t dbay_arenabytes (const void *base) { return ((const Head *)base)->bump; }
size_t dbay_arenaused (const dbay_arena *a) { return dbay_arenabytes(a->live); }
int dbay_arenatracked (const dbay_arena *a) { return a->faults >= 0; }

/* A world is about to be read, or (0) was. */
void dbay_arenafill (dbay_arena *a, int begins) {
  Head *h = (Head *)(void *)a->live;
  h->ready = begins ? greater(h->bump, a->warm) : 0;
  h->faults = begins ? a->faults : -1;
}

/* Memory for a copy of so many bytes, and that of which it had none yet. */
static void grow (dbay_arena *a, size_t used) {
  size_t there = pages(greater(greater(a->committed, a->warm), a->lent));
  a->from = a->to = there;
  if (used <= there) return;
  if (a->faults >= 0 && used - there >= BROUGHT) a->to = bring(a, there, used);
  populate(a->copy + a->to, used - a->to);
}

/* What is there now is what dbay_rollback goes back to. What the newest layer stands for is kept in it. */
void dbay_commit (dbay_arena *a, dbay_layer *newest) {
  size_t used = dbay_arenaused(a), i;
  keepshadow(a, used, 0);
  grow(a, pages(used));
  if (a->faults >= 0) {
    if (written(a, used, 0, newest)) {
      a->committed = used;
      return;
    }
    distrust(a);
  }
  if (newest == NULL) copybytes(a->copy, a->live, used);
  else
    for (i = 0; i < used; i += PAGE)
      if (memcmp(a->copy + i, a->live + i, PAGE) != 0) copypages(a, newest, i, PAGE);
  a->committed = used;
}

/* Back to the last commit. */
void dbay_rollback (dbay_arena *a) {
  size_t used = dbay_arenaused(a);
  size_t kept = (a->committed + PAGE - 1) & ~(PAGE - 1);
  keepshadow(a, used, 1);
  if (a->faults >= 0) {
    if (!written(a, used > a->committed ? used : a->committed, 1, NULL)) distrust(a);
  }
  if (a->faults < 0) copybytes(a->live, a->copy, a->committed);
  /* what a failed call took is given back to the machine */
  if (used > kept + RETURNED)
    madvise(a->live + kept, ((used + PAGE - 1) & ~(PAGE - 1)) - kept, MADV_DONTNEED);
}
