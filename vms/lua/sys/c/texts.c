/* Many new texts into the table of texts at once. One by one, each would wait for its bucket and for what is in it;
** sorted by runs of buckets that stay near, only those that share a bucket are touched again. */
#include "dbay.h"

#define RUN_BITS 12
#define RUN (1u << RUN_BITS)  /* buckets that are filled together */
#define NONE UINT32_MAX

uint32_t dbay_placeof (const lua_State *L, const void *text) {
  return (uint32_t)((size_t)((const uint8_t *)text - (const uint8_t *)G(L)->ud) / 16);
}

static TString *textat (const lua_State *L, uint32_t place) {
  return (TString *)(void *)((uint8_t *)G(L)->ud + (size_t)place * 16);
}

static int equal (const TString *a, const TString *b) {
  return a->shrlen == b->shrlen && memcmp(getstr(a), getstr(b), a->shrlen) == 0;
}

/* By runs, in the order in which they came. 'ends' is left where each run ends. */
static void sortruns (const dbay_text *texts, dbay_text *sorted, uint32_t n, unsigned mask, uint32_t *ends) {
  uint32_t i, sum = 0, runs = mask / RUN + 1;
  memset(ends, 0, runs * sizeof(uint32_t));
  for (i = 0; i < n; i++) ends[(texts[i].bucket & mask) / RUN]++;
  for (i = 0; i < runs; i++) {
    uint32_t here = ends[i];
    ends[i] = sum;
    sum += here;
  }
  for (i = 0; i < n; i++) sorted[ends[(texts[i].bucket & mask) / RUN]++] = texts[i];
}

/* Whether the texts of a run differ; those that will be touched are brought near. 'next' has room for a number for each. */
static int differ (lua_State *L, const dbay_text *texts, uint32_t n, uint32_t *next) {
  uint32_t last[RUN], i, k, mask = (uint32_t)(G(L)->strt.size - 1) & (RUN - 1);
  memset(last, 0xff, sizeof last);
  for (i = 0; i < n; i++) {
    uint32_t *l = &last[texts[i].bucket & mask];
    for (k = *l; k != NONE; k = next[k])
      if (texts[k].bucket == texts[i].bucket && equal(textat(L, texts[k].place), textat(L, texts[i].place))) return 0;
    if (*l != NONE) NEAR(textat(L, texts[i].place));
    next[i] = *l;
    *l = i;
  }
  return 1;
}

static void putrun (lua_State *L, const dbay_text *texts, uint32_t n) {
  uint32_t i;
  for (i = 0; i < n; i++) {
    TString **list = dbay_list(&G(L)->strt, texts[i].bucket), *ts = textat(L, texts[i].place);
    if (*list != NULL) ts->u.hnext = *list;
    *list = ts;
  }
}

/* Texts that the table does not have. 1 if it has them now, 0 if two of them are equal, -1 if there is no memory: the
** table is good for nothing then. */
int dbay_puttexts (lua_State *L, dbay_arena *arena, dbay_text *texts, uint32_t n) {
  stringtable *table = &G(L)->strt;
  dbay_text *sorted = (dbay_text *)dbay_arenalend(arena, n * sizeof(dbay_text), 0);
  uint32_t *ends, runs, i, from = 0;
  int size = table->size;
  while ((uint32_t)size < (uint32_t)table->nuse + n && size <= MAX_INT / 2) size *= 2;
  luaS_resize(L, size);
  runs = (uint32_t)(table->size - 1) / RUN + 1;
  ends = (uint32_t *)dbay_arenalend(arena, runs * sizeof(uint32_t), 0);
  if (sorted == NULL || ends == NULL) return -1;
  sortruns(texts, sorted, n, (unsigned)table->size - 1, ends);
  for (i = 0; i < runs; from = ends[i++]) {
    if (!differ(L, sorted + from, ends[i] - from, (uint32_t *)(void *)texts)) return 0;
    putrun(L, sorted + from, ends[i] - from);
  }
  table->nuse += (int)n;
  return 1;
}
