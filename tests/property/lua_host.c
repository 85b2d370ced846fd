/* lua_host.c — redis.call and struct for scripts in a test; see lua_host.h. */
#include "tests/property/lua_host.h"

#include <lua5.1/lauxlib.h>
#include <lua5.1/lua.h>
#include <lua5.1/lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char first_key[] = "s:tenant/resource/key";

enum { KEY_MAX_BYTES = 128, MAX_SCRIPTS = 4 };

struct entry {
    char key[KEY_MAX_BYTES]; /* "": free */
    uint8_t value[LUA_HOST_VALUE_MAX_BYTES];
    size_t n_bytes;
    int64_t expires_ms;
};

struct lua_host {
    lua_State *lua;
    struct {
        const struct script *script; /* NULL: free */
        int reference;               /* in Lua's registry, to the compiled script */
    } compiled[MAX_SCRIPTS];
    int script; /* the one of `compiled` that is run */
    int64_t now_us;
    struct entry entries[LUA_HOST_MAX_KEYS];
    const char *const *keys; /* of the call under way */
    uint32_t n_keys;
    uint64_t n_sets;
};

static struct lua_host *host_of(lua_State *lua) {
    return lua_touserdata(lua, lua_upvalueindex(1));
}

/* NULL: no such key, or it has expired. */
static struct entry *find(struct lua_host *host, const char *key) {
    for (size_t i = 0; i < LUA_HOST_MAX_KEYS; i++) {
        struct entry *entry = &host->entries[i];
        if (entry->key[0] != '\0' && host->now_us / 1000 > entry->expires_ms) {
            entry->key[0] = '\0';
        }
        if (entry->key[0] != '\0' && strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* The key's entry, or a new one; NULL when there are too many. */
static struct entry *claim(struct lua_host *host, const char *key) {
    struct entry *entry = find(host, key);
    for (size_t i = 0; entry == NULL && i < LUA_HOST_MAX_KEYS && strlen(key) < KEY_MAX_BYTES; i++) {
        if (host->entries[i].key[0] == '\0') {
            entry = &host->entries[i];
            strcpy(entry->key, key);
        }
    }
    return entry;
}

/* What redis.call sends for an argument: a string as it is, a number with 17 digits. */
static void check_argument(lua_State *lua, int index) {
    if (lua_type(lua, index) == LUA_TNUMBER) {
        char text[64];
        snprintf(text, sizeof text, "%.17g", lua_tonumber(lua, index));
        lua_pushstring(lua, text);
        lua_replace(lua, index);
    }
    luaL_checktype(lua, index, LUA_TSTRING);
}

static int call_time(lua_State *lua) {
    int64_t now_us = host_of(lua)->now_us;
    char text[32];
    lua_newtable(lua);
    snprintf(text, sizeof text, "%lld", (long long)(now_us / 1000000));
    lua_pushstring(lua, text);
    lua_rawseti(lua, -2, 1);
    snprintf(text, sizeof text, "%lld", (long long)(now_us % 1000000));
    lua_pushstring(lua, text);
    lua_rawseti(lua, -2, 2);
    return 1;
}

static const char *check_key(lua_State *lua) {
    const struct lua_host *host = host_of(lua);
    const char *key = lua_tostring(lua, 2);
    for (uint32_t i = 0; i < host->n_keys; i++) {
        if (strcmp(key, host->keys[i] != NULL ? host->keys[i] : first_key) == 0) {
            return key;
        }
    }
    luaL_error(lua, "key %s is not in KEYS", key);
    return NULL;
}

/* GET key, GETDEL key */
static int call_get(lua_State *lua, bool and_delete) {
    struct entry *entry = find(host_of(lua), check_key(lua));
    if (entry == NULL) {
        lua_pushboolean(lua, 0);
        return 1;
    }
    lua_pushlstring(lua, (const char *)entry->value, entry->n_bytes);
    if (and_delete) {
        entry->key[0] = '\0';
    }
    return 1;
}

/* SET key value PX ms | PXAT ms */
static int call_set(lua_State *lua) {
    struct lua_host *host = host_of(lua);
    const char *key = check_key(lua);
    size_t n_bytes;
    const char *value = lua_tolstring(lua, 3, &n_bytes);
    const char *unit = luaL_checkstring(lua, 4);
    char *end;
    long long ms = strtoll(luaL_checkstring(lua, 5), &end, 10);
    if (lua_gettop(lua) != 5 || *end != '\0' || n_bytes > LUA_HOST_VALUE_MAX_BYTES) {
        return luaL_error(lua, "ERR syntax error");
    }
    if (ms <= 0) {
        return luaL_error(lua, "ERR invalid expire time in 'set' command");
    }
    if (strcmp(unit, "PXAT") != 0 && strcmp(unit, "PX") != 0) {
        return luaL_error(lua, "ERR syntax error");
    }
    struct entry *entry = claim(host, key);
    if (entry == NULL) {
        return luaL_error(lua, "too many keys, or one that is too long");
    }
    memcpy(entry->value, value, n_bytes);
    entry->n_bytes = n_bytes;
    entry->expires_ms = strcmp(unit, "PX") == 0 ? host->now_us / 1000 + ms : ms;
    host->n_sets++;
    lua_newtable(lua);
    lua_pushstring(lua, "OK");
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int redis_call(lua_State *lua) {
    const char *command = luaL_checkstring(lua, 1);
    int n_args = lua_gettop(lua);
    for (int i = 1; i <= n_args; i++) {
        check_argument(lua, i);
    }
    if (strcmp(command, "TIME") == 0 && n_args == 1) {
        return call_time(lua);
    }
    if (strcmp(command, "GET") == 0 && n_args == 2) {
        return call_get(lua, false);
    }
    if (strcmp(command, "GETDEL") == 0 && n_args == 2) {
        return call_get(lua, true);
    }
    if (strcmp(command, "SET") == 0 && n_args >= 3) {
        return call_set(lua);
    }
    return luaL_error(lua, "ERR unknown command '%s'", command);
}

/* Bytes of one field; 0 for a format the scripts do not use. Moves `format` behind it. */
static size_t field_bytes(const char **format) {
    size_t n_bytes = 0;
    if (strncmp(*format, "B", 1) == 0) {
        n_bytes = 1;
    } else if (strncmp(*format, "I2", 2) == 0) {
        n_bytes = 2;
    } else if (strncmp(*format, "I4", 2) == 0) {
        n_bytes = 4;
    } else if (strncmp(*format, "i8", 2) == 0) {
        n_bytes = 8;
    }
    *format += n_bytes == 1 ? 1 : 2;
    return n_bytes;
}

static int struct_pack(lua_State *lua) {
    const char *format = luaL_checkstring(lua, 1);
    luaL_argcheck(lua, *format == '<', 1, "little-endian expected");
    luaL_Buffer buffer;
    luaL_buffinit(lua, &buffer);
    int arg = 2;
    for (format++; *format != '\0'; arg++) {
        lua_Number number = luaL_checknumber(lua, arg);
        uint64_t value = number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number;
        size_t n_bytes = field_bytes(&format);
        if (n_bytes == 0 || number != number) {
            return luaL_error(lua, "bad format or number");
        }
        for (size_t i = 0; i < n_bytes; i++) {
            luaL_addchar(&buffer, (char)(uint8_t)(value >> (8 * i)));
        }
    }
    luaL_pushresult(&buffer);
    return 1;
}

static int struct_unpack(lua_State *lua) {
    const char *format = luaL_checkstring(lua, 1);
    size_t n_data;
    const char *data = luaL_checklstring(lua, 2, &n_data);
    size_t at = (size_t)luaL_optinteger(lua, 3, 1) - 1;
    luaL_argcheck(lua, *format == '<', 1, "little-endian expected");
    lua_settop(lua, 2);
    for (format++; *format != '\0';) {
        size_t n_bytes = field_bytes(&format);
        uint64_t value = 0;
        if (n_bytes == 0 || at > n_data || n_bytes > n_data - at) {
            return luaL_error(lua, "data string too short");
        }
        for (size_t i = 0; i < n_bytes; i++) {
            value |= (uint64_t)(uint8_t)data[at + i] << (8 * i);
        }
        lua_pushnumber(lua, n_bytes == 8 ? (lua_Number)(int64_t)value : (lua_Number)value);
        at += n_bytes;
    }
    lua_pushinteger(lua, (lua_Integer)at + 1);
    return lua_gettop(lua) - 2;
}

static void set_function(struct lua_host *host, const char *table, const char *name, lua_CFunction function) {
    lua_getglobal(host->lua, table);
    if (lua_isnil(host->lua, -1)) {
        lua_pop(host->lua, 1);
        lua_newtable(host->lua);
        lua_pushvalue(host->lua, -1);
        lua_setglobal(host->lua, table);
    }
    lua_pushlightuserdata(host->lua, host);
    lua_pushcclosure(host->lua, function, 1);
    lua_setfield(host->lua, -2, name);
    lua_pop(host->lua, 1);
}

static void set_strings(lua_State *lua, const char *table, const struct bytes *strings, uint32_t n) {
    lua_createtable(lua, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        lua_pushlstring(lua, (const char *)strings[i].data, strings[i].len);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, table);
}

bool lua_host_load(struct lua_host *host, const struct script *script) {
    int place = 0;
    while (host->compiled[place].script != script && host->compiled[place].script != NULL) {
        place++;
        if (place == MAX_SCRIPTS) {
            fprintf(stderr, "too many scripts\n");
            return false;
        }
    }
    if (host->compiled[place].script == NULL) {
        /* Redis takes the #! line off before it compiles, and leaves its end, so that line numbers stay right. */
        const char *text = strchr(script->body, '\n');
        lua_settop(host->lua, 0);
        if (luaL_loadbuffer(host->lua, text, strlen(text), script->name) != 0) {
            fprintf(stderr, "%s\n", lua_tostring(host->lua, -1));
            return false;
        }
        host->compiled[place].script = script;
        host->compiled[place].reference = luaL_ref(host->lua, LUA_REGISTRYINDEX);
    }
    host->script = place;
    return true;
}

struct lua_host *lua_host_create(const struct script *script) {
    struct lua_host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        return NULL;
    }
    host->lua = luaL_newstate();
    if (host->lua == NULL) {
        free(host);
        return NULL;
    }
    luaL_openlibs(host->lua);
    set_function(host, "redis", "call", redis_call);
    set_function(host, "struct", "pack", struct_pack);
    set_function(host, "struct", "unpack", struct_unpack);
    if (!lua_host_load(host, script)) {
        lua_host_destroy(&host);
    }
    return host;
}

void lua_host_destroy(struct lua_host **host) {
    if (*host != NULL) {
        lua_close((*host)->lua);
        free(*host);
    }
    *host = NULL;
}

void lua_host_set_now(struct lua_host *host, int64_t now_us) {
    host->now_us = now_us;
}

bool lua_host_eval_keys(struct lua_host *host, const char *const *keys, uint32_t n_keys, struct bytes argument,
                        struct bytes *reply) {
    lua_State *lua = host->lua;
    struct bytes strings[LUA_HOST_MAX_KEYS];
    for (uint32_t i = 0; i < n_keys && i < LUA_HOST_MAX_KEYS; i++) {
        const char *key = keys[i] != NULL ? keys[i] : first_key;
        strings[i] = (struct bytes){(const uint8_t *)key, strlen(key)};
    }
    host->keys = keys;
    host->n_keys = n_keys;
    lua_settop(lua, 0);
    set_strings(lua, "KEYS", strings, n_keys);
    set_strings(lua, "ARGV", &argument, 1);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, host->compiled[host->script].reference);
    if (lua_pcall(lua, 0, 1, 0) != 0 || lua_type(lua, 1) != LUA_TSTRING) {
        fprintf(stderr, "script: %s\n", lua_isstring(lua, 1) ? lua_tostring(lua, 1) : "no string in reply");
        return false;
    }
    reply->data = (const uint8_t *)lua_tolstring(lua, 1, &reply->len);
    return true;
}

bool lua_host_eval(struct lua_host *host, struct bytes argument, struct bytes *reply) {
    static const char *const only[] = {NULL};
    return lua_host_eval_keys(host, only, 1, argument, reply);
}

bool lua_host_value(struct lua_host *host, struct bytes *value, int64_t *expires_ms) {
    const struct entry *entry = find(host, first_key);
    if (entry != NULL) {
        *value = (struct bytes){entry->value, entry->n_bytes};
        *expires_ms = entry->expires_ms;
    }
    return entry != NULL;
}

void lua_host_put_value(struct lua_host *host, struct bytes value) {
    struct entry *entry = claim(host, first_key);
    if (entry == NULL) {
        return;
    }
    if (value.len == 0) {
        entry->key[0] = '\0';
        return;
    }
    entry->n_bytes = value.len <= sizeof entry->value ? value.len : sizeof entry->value;
    memcpy(entry->value, value.data, entry->n_bytes);
    entry->expires_ms = INT64_MAX;
}

bool lua_host_has(struct lua_host *host, const char *key) {
    return find(host, key) != NULL;
}

void lua_host_clear(struct lua_host *host) {
    memset(host->entries, 0, sizeof host->entries);
}

uint64_t lua_host_n_sets(const struct lua_host *host) {
    return host->n_sets;
}
