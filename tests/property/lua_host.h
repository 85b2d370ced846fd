/* lua_host.h — runs the very scripts in Lua 5.1 inside the test, on a small Redis of virtual time.
 *
 * What the scripts need and no more: redis.call with TIME, GET, GETDEL and SET with PX or PXAT, and pack and unpack of
 * the struct library in Redis for the formats '<', B, I2, I4 and i8. Keys expire by the host's own clock, which
 * only lua_host_set_now moves. One thread. */
#ifndef SLUICE_TESTS_PROPERTY_LUA_HOST_H
#define SLUICE_TESTS_PROPERTY_LUA_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/store/script.h"

enum { LUA_HOST_VALUE_MAX_BYTES = 512, LUA_HOST_MAX_KEYS = 8 };

struct lua_host;

/* Compiles the script once. NULL, with the reason on stderr, when it does not compile. */
struct lua_host *lua_host_create(const struct script *script);
void lua_host_destroy(struct lua_host **host);

void lua_host_set_now(struct lua_host *host, int64_t now_us);

/* Makes the host run another script on what it keeps. Each is compiled once, four at most. False, with the reason on
 * stderr, when it does not compile. */
bool lua_host_load(struct lua_host *host, const struct script *script) __attribute__((warn_unused_result));

/* Runs the script on the host's first key with one argument. False, with the reason on stderr, when it fails
 * or replies no string. `reply` is borrowed until the next call. */
bool lua_host_eval(struct lua_host *host, struct bytes argument, struct bytes *reply)
    __attribute__((warn_unused_result));

/* The same on several keys, C strings; NULL stands for the first one. The host keeps LUA_HOST_MAX_KEYS at most. */
bool lua_host_eval_keys(struct lua_host *host, const char *const *keys, uint32_t n_keys, struct bytes argument,
                        struct bytes *reply) __attribute__((warn_unused_result));

/* The first key's value, borrowed until the next call, and the millisecond after which it is gone. False: no such
 * key, or it has expired. */
bool lua_host_value(struct lua_host *host, struct bytes *value, int64_t *expires_ms);
/* Replaces the value, at most LUA_HOST_VALUE_MAX_BYTES, for ever; without bytes deletes it. */
void lua_host_put_value(struct lua_host *host, struct bytes value);
/* Does this key exist? */
bool lua_host_has(struct lua_host *host, const char *key);
/* Forgets every key. */
void lua_host_clear(struct lua_host *host);
/* How many SETs the scripts have issued. */
uint64_t lua_host_n_sets(const struct lua_host *host);

#endif
