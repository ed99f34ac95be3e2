/* Digests: BLAKE2b here, the others by Rust. */
#include "dbay.h"

/* kinds as in Rust; gives the length of the digest */
size_t dbay_digest (int kind, const unsigned char *text, size_t n, unsigned char *out);

/* ---- BLAKE2b (RFC 7693) */

static const uint64_t IV[8] = {
  0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
  0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull};

static const uint8_t SIGMA[10][16] = {
  {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
  {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
  {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
  {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
  {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static uint64_t ror (uint64_t x, int n) { return x >> n | x << (64 - n); }

static void mix (uint64_t v[16], int a, int b, int c, int d, uint64_t x, uint64_t y) {
  v[a] += v[b] + x;
  v[d] = ror(v[d] ^ v[a], 32);
  v[c] += v[d];
  v[b] = ror(v[b] ^ v[c], 24);
  v[a] += v[b] + y;
  v[d] = ror(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = ror(v[b] ^ v[c], 63);
}

static void compress (uint64_t h[8], const unsigned char *block, uint64_t count, int last) {
  uint64_t v[16], m[16];
  int i, j;
  for (i = 0; i < 16; i++)
    for (m[i] = 0, j = 7; j >= 0; j--) m[i] = m[i] << 8 | block[8 * i + j];
  memcpy(v, h, 64);
  memcpy(v + 8, IV, 64);
  v[12] ^= count;
  if (last) v[14] = ~v[14];
  for (i = 0; i < 12; i++) {
    const uint8_t *s = SIGMA[i % 10];
    for (j = 0; j < 4; j++) mix(v, j, j + 4, j + 8, j + 12, m[s[2 * j]], m[s[2 * j + 1]]);
    for (j = 0; j < 4; j++)
      mix(v, j, (j + 1) % 4 + 4, (j + 2) % 4 + 8, (j + 3) % 4 + 12, m[s[2 * j + 8]], m[s[2 * j + 9]]);
  }
  for (i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}

static void blake2b (const unsigned char *s, size_t n, const unsigned char *key, size_t keylen,
                     unsigned char *out, size_t outlen) {
  uint64_t h[8], count = 0;
  unsigned char block[128];
  size_t i;
  memcpy(h, IV, 64);
  h[0] ^= 0x01010000 ^ (uint64_t)keylen << 8 ^ outlen;
  if (keylen > 0) {
    memset(block, 0, 128);
    memcpy(block, key, keylen);
    count = 128;
    compress(h, block, count, n == 0);
    if (n == 0) goto done;
  }
  for (; n > 128; n -= 128, s += 128) compress(h, s, count += 128, 0);
  memset(block, 0, 128);
  memcpy(block, s, n);
  compress(h, block, count + n, 1);
done:
  for (i = 0; i < outlen; i++) out[i] = (unsigned char)(h[i / 8] >> (8 * (i % 8)));
}

/* drivebay.hash(name, text): the digest's bytes; of blake2b [, length [, key]] too */
int dbay_hash (lua_State *L) {
  static const char *const names[] = {"md5", "sha1", "sha2-256", "sha2-512", "sha3-256", "sha3-512",
                                      "keccak-256", "keccak-512", "blake2b", NULL};
  int kind = luaL_checkoption(L, 1, NULL, names);
  size_t n, keylen;
  const char *s = luaL_checklstring(L, 2, &n);
  unsigned char out[64];
  dbay_charge(L, COST_DIGEST + n);
  if (kind < 8) n = dbay_digest(kind, (const unsigned char *)s, n, out);
  else {
    lua_Integer len = luaL_optinteger(L, 3, 64);
    const char *key = luaL_optlstring(L, 4, "", &keylen);
    luaL_argcheck(L, len >= 1 && len <= 64, 3, "1 to 64 bytes");
    luaL_argcheck(L, keylen <= 64, 4, "at most 64 bytes");
    blake2b((const unsigned char *)s, n, (const unsigned char *)key, keylen, out, (size_t)len);
    n = (size_t)len;
  }
  lua_pushlstring(L, (const char *)out, n);
  return 1;
}
