/* hotkey_list.h — hot keys as they are listed: rows with names and rates, and several lists made one.
 *
 * Rows own all they hold: a list may be copied, and handed from one thread to another. Pure. */
#ifndef SLUICE_CORE_HOTKEY_LIST_H
#define SLUICE_CORE_HOTKEY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/decision.h"
#include "server/core/quota.h"

enum { HOTKEY_NAME_MAX_BYTES = QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES };

/* Whose bucket it is. All zero: nobody has said yet. */
struct hotkey_name {
    uint8_t tenant_bytes, resource_bytes;
    uint16_t key_bytes;
    uint8_t text[HOTKEY_NAME_MAX_BYTES]; /* tenant, resource and key, one after the other */
};

struct hotkey {
    struct hotkey_name name;
    int64_t checks_per_s, denied_per_s;
    int64_t decided_per_s[DECISION_N_SOURCES]; /* by enum decision_source */
    bool is_hot;
};

/* The texts have at most the lengths that quota.h allows. */
void hotkey_name_set(struct hotkey_name *name, struct bytes tenant, struct bytes resource, struct bytes key);
/* Borrowed from the name. */
struct bytes hotkey_name_tenant(const struct hotkey_name *name);
struct bytes hotkey_name_resource(const struct hotkey_name *name);
struct bytes hotkey_name_key(const struct hotkey_name *name);

/* Rows of several tables, in any order: those of one name become one, which has the sum of their rates and is hot
 * if any of them is. The most checked come first, equals by name. Returns how many rows remain. */
size_t hotkey_list_merge(struct hotkey *rows, size_t n_rows);

#endif
