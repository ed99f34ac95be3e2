/* The format `wasm32-drivebay-1` in C: what a module imports, and how it marks its exports. */
#ifndef DRIVEBAY_H
#define DRIVEBAY_H

#include <stddef.h>
#include <stdint.h>

/* Marks a function as an export of the module. */
#define DRIVEBAY_EXPORT(name) __attribute__((export_name(name)))
#define DRIVEBAY_IMPORT(name) __attribute__((import_module("drivebay"), import_name(name)))

/* What `drivebay_read` and `drivebay_size` can be asked for. */
enum { DRIVEBAY_DATA = 0, DRIVEBAY_TRANSACTION = 1, DRIVEBAY_BLOCK = 2 };

/* Says one line to the author. Not part of any result. */
DRIVEBAY_IMPORT("log") void drivebay_log(const char *text, size_t len);

/* Reads chain data from `offset` on. Returns the bytes read, or -1 if the id is not admitted. */
DRIVEBAY_IMPORT("read")
int64_t drivebay_read(int32_t kind, const char *id, size_t id_len, int64_t offset, void *into, size_t into_len);

/* The size of chain data in bytes, or -1 if the id is not admitted. */
DRIVEBAY_IMPORT("size") int64_t drivebay_size(int32_t kind, const char *id, size_t id_len);

/* What `handle` returns: where the reply is and how long it is. */
static inline uint64_t drivebay_reply(const char *text, size_t len) {
    return ((uint64_t)(uintptr_t)text << 32) | (uint64_t)len;
}

#endif
