/* Time from the call, base64, SHA-256. */
#include "dbay.h"
#include <stdio.h>

/* ---- time: UTC, from the call (days from the civil date: Hinnant) */

static lua_Integer days (lua_Integer y, int m, int d) {
  lua_Integer era, doe, yoe;
  y -= m <= 2;
  era = (y >= 0 ? y : y - 399) / 400;
  yoe = y - era * 400;
  doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + doe - 719468;
}

typedef struct Civil {
  lua_Integer year;
  int month, day, hour, min, sec, wday, yday;
} Civil;

static lua_Integer floordiv (lua_Integer a, lua_Integer b) {
  return a / b - (a % b < 0);
}

static Civil civil (lua_Integer t) {
  Civil c;
  lua_Integer z = floordiv(t, 86400), era, doe, yoe, doy, mp;
  int s = (int)(t - z * 86400);
  c.hour = s / 3600;
  c.min = s / 60 % 60;
  c.sec = s % 60;
  c.wday = (int)(((z + 4) % 7 + 7) % 7);
  z += 719468;
  era = floordiv(z, 146097);
  doe = z - era * 146097;
  yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  mp = (5 * doy + 2) / 153;
  c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
  c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2);
  c.yday = (int)(days(c.year, c.month, c.day) - days(c.year, 1, 1));
  return c;
}

static lua_Integer now (lua_State *L) {
  return G(L)->run != NULL ? floordiv((lua_Integer)G(L)->run->time_ms, 1000) : 0;
}

static lua_Integer field (lua_State *L, const char *name, lua_Integer missing) {
  lua_Integer n;
  int isnum;
  if (lua_getfield(L, 1, name) == LUA_TNIL && missing != LUA_MININTEGER) n = missing;
  else {
    n = lua_tointegerx(L, -1, &isnum);
    if (!isnum) luaL_error(L, "field '%s' missing in date table, or no integer", name);
    if (n < -1000000000 || n > 1000000000) luaL_error(L, "field '%s' is out-of-bound", name);
  }
  lua_pop(L, 1);
  return n;
}

int dbay_ostime (lua_State *L) {
  lua_Integer year, month, day, t;
  if (lua_isnoneornil(L, 1)) {
    lua_pushinteger(L, now(L));
    return 1;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  year = field(L, "year", LUA_MININTEGER);
  month = field(L, "month", LUA_MININTEGER) - 1;
  day = field(L, "day", LUA_MININTEGER);
  year += floordiv(month, 12);
  month -= floordiv(month, 12) * 12;
  t = (days(year, (int)month + 1, 1) + day - 1) * 86400;
  t += field(L, "hour", 12) * 3600 + field(L, "min", 0) * 60 + field(L, "sec", 0);
  lua_pushinteger(L, t);
  return 1;
}

/* A clock that is the same on every machine: fuel, at 10^8 a second. */
int dbay_osclock (lua_State *L) {
  l_mem used = G(L)->run != NULL ? (l_mem)G(L)->run->fuel - G(L)->fuel : 0;
  lua_pushnumber(L, (lua_Number)used / 1e8);
  return 1;
}

static const char *const DAYS[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
                                   "Saturday"};
static const char *const MONTHS[] = {"January", "February", "March", "April", "May", "June", "July",
                                     "August", "September", "October", "November", "December"};

static void adddate (lua_State *L, luaL_Buffer *b, const Civil *c, char option) {
  char t[64];
  int y = (int)(c->year % 100 < 0 ? c->year % 100 + 100 : c->year % 100);
  int h12 = c->hour % 12 ? c->hour % 12 : 12;
  const char *p;
  long long year = (long long)c->year;
  t[0] = 0;
  switch (option) {
    case 'a': snprintf(t, sizeof t, "%.3s", DAYS[c->wday]); break;
    case 'A': snprintf(t, sizeof t, "%s", DAYS[c->wday]); break;
    case 'b': case 'h': snprintf(t, sizeof t, "%.3s", MONTHS[c->month - 1]); break;
    case 'B': snprintf(t, sizeof t, "%s", MONTHS[c->month - 1]); break;
    case 'd': snprintf(t, sizeof t, "%02d", c->day); break;
    case 'e': snprintf(t, sizeof t, "%2d", c->day); break;
    case 'H': snprintf(t, sizeof t, "%02d", c->hour); break;
    case 'I': snprintf(t, sizeof t, "%02d", h12); break;
    case 'j': snprintf(t, sizeof t, "%03d", c->yday + 1); break;
    case 'm': snprintf(t, sizeof t, "%02d", c->month); break;
    case 'M': snprintf(t, sizeof t, "%02d", c->min); break;
    case 'n': snprintf(t, sizeof t, "\n"); break;
    case 't': snprintf(t, sizeof t, "\t"); break;
    case 'p': snprintf(t, sizeof t, "%s", c->hour < 12 ? "AM" : "PM"); break;
    case 'S': snprintf(t, sizeof t, "%02d", c->sec); break;
    case 'u': snprintf(t, sizeof t, "%d", c->wday ? c->wday : 7); break;
    case 'w': snprintf(t, sizeof t, "%d", c->wday); break;
    case 'y': snprintf(t, sizeof t, "%02d", y); break;
    case 'Y': snprintf(t, sizeof t, "%lld", year); break;
    case 'z': snprintf(t, sizeof t, "+0000"); break;
    case 'Z': snprintf(t, sizeof t, "UTC"); break;
    case '%': snprintf(t, sizeof t, "%%"); break;
    case 'c': p = "a b e T Y"; goto several;
    case 'D': case 'x': p = "m/d/y"; goto several;
    case 'F': p = "Y-m-d"; goto several;
    case 'r': p = "I:M:S p"; goto several;
    case 'R': p = "H:M"; goto several;
    case 'T': case 'X': p = "H:M:S"; goto several;
    default: luaL_error(L, "invalid conversion specifier '%%%c'", option);
  }
  luaL_addstring(b, t);
  return;
several:
  for (; *p; p++) {
    if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')) adddate(L, b, c, *p);
    else luaL_addchar(b, *p);
  }
}

int dbay_osdate (lua_State *L) {
  size_t n;
  const char *s = luaL_optlstring(L, 1, "%c", &n), *end = s + n;
  lua_Integer t = luaL_opt(L, luaL_checkinteger, 2, now(L));
  Civil c;
  luaL_Buffer b;
  if (t > 1000000000000 || t < -1000000000000) return luaL_error(L, "time result cannot be represented");
  c = civil(t);
  if (*s == '!') s++;  /* all time is UTC */
  if (strncmp(s, "*t", 2) == 0) {
    const struct { const char *name; lua_Integer n; } fields[] = {
      {"sec", c.sec}, {"min", c.min}, {"hour", c.hour}, {"day", c.day}, {"month", c.month},
      {"year", c.year}, {"wday", c.wday + 1}, {"yday", c.yday + 1}};
    size_t i;
    lua_createtable(L, 0, 9);
    for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
      lua_pushinteger(L, fields[i].n);
      lua_setfield(L, -2, fields[i].name);
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "isdst");
    return 1;
  }
  dbay_charge(L, COST_DATE + COST_DATE_TEXT * n);
  luaL_buffinit(L, &b);
  for (; s < end; s++) {
    if (*s != '%') luaL_addchar(&b, *s);
    else if (++s >= end) return luaL_error(L, "invalid conversion specifier '%%'");
    else adddate(L, &b, &c, *s);
  }
  luaL_pushresult(&b);
  return 1;
}

/* ---- base64 (RFC 4648 §4), as the base64.lua of aos: written with padding, read without caring */

int dbay_base64encode (lua_State *L) {
  static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t n, i, k = 0;
  const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  char *to;
  luaL_argcheck(L, n < (size_t)1 << 60, 1, "too long");
  dbay_charge(L, n / COST_BASE64_TEXT);
  to = luaL_buffinitsize(L, &b, (n + 2) / 3 * 4);
  for (i = 0; i < n; i += 3) {
    unsigned w = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);
    to[k++] = abc[w >> 18];
    to[k++] = abc[w >> 12 & 63];
    to[k++] = i + 1 < n ? abc[w >> 6 & 63] : '=';
    to[k++] = i + 2 < n ? abc[w & 63] : '=';
  }
  luaL_pushresultsize(&b, k);
  return 1;
}

static int sixbits (unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

int dbay_base64decode (lua_State *L) {
  size_t n, i, k = 0;
  const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  char *to;
  unsigned w = 0;
  int have = 0;
  dbay_charge(L, n / COST_BASE64_TEXT);
  to = luaL_buffinitsize(L, &b, n / 4 * 3 + 3);
  for (i = 0; i < n; i++) {
    int x = sixbits(s[i]);
    if (x < 0) continue;
    w = w << 6 | (unsigned)x;
    have += 6;
    if (have >= 8) {
      have -= 8;
      to[k++] = (char)(w >> have & 255);
    }
  }
  luaL_pushresultsize(&b, k);
  return 1;
}

/* ---- SHA-256 (FIPS 180-4) */

static const uint32_t K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t ror (uint32_t x, int n) { return x >> n | x << (32 - n); }

static void block (uint32_t h[8], const unsigned char *p) {
  uint32_t w[64], v[8], t1, t2;
  int i;
  for (i = 0; i < 16; i++)
    w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
  for (; i < 64; i++)
    w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(v, h, sizeof v);
  for (i = 0; i < 64; i++) {
    t1 = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
    t2 = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof(uint32_t));
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (i = 0; i < 8; i++) h[i] += v[i];
}

/* drivebay.sha256(text): 64 hexadecimal digits */
int dbay_sha256 (lua_State *L) {
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  size_t n, left, i;
  const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
  unsigned char tail[128] = {0};
  char hex[65];
  dbay_charge(L, COST_SHA256 + n);
  for (left = n; left >= 64; left -= 64, s += 64) block(h, s);
  memcpy(tail, s, left);
  tail[left] = 0x80;
  i = left < 56 ? 64 : 128;
  { uint64_t bits = (uint64_t)n * 8;
    int k;
    for (k = 0; k < 8; k++) tail[i - 1 - (size_t)k] = (unsigned char)(bits >> (8 * k));
  }
  block(h, tail);
  if (i == 128) block(h, tail + 64);
  for (i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)h[i]);
  lua_pushlstring(L, hex, 64);
  return 1;
}
