/* registry.h — reads a quota file (YAML) into a quota set; all of it or nothing.
 *
 *   default: allow                 # or deny: for a (tenant, resource) that no quota matches
 *   tenants:
 *     demo:
 *       hello:
 *         limits:
 *           - { name: per_key, algorithm: token_bucket, rate: 5/s, burst: 10 }
 *       "api.*": { limits: [ { rate: 100/s, burst: 200 } ] }
 *     "*":
 *       "*": { limits: [ { algorithm: leaky_bucket, rate: 6000/min, burst: 50 } ] }
 *
 * A quota may say on_store_failure: local (the default), allow or deny; mode: enforce (the default) or shadow. A
 * rate of 0 denies everything; `unlimited: true`, alone, allows everything.
 * name defaults to the algorithm, algorithm to token_bucket, burst to one second's worth of rate (at least 1). Windows
 * have no burst: { algorithm: fixed_window, rate: 1000000/month }. */
#ifndef SLUICE_QUOTA_REGISTRY_H
#define SLUICE_QUOTA_REGISTRY_H

#include <stddef.h>

#include "server/base/status.h"
#include "server/core/quota_set.h"

/* Both return a set held once, or NULL with "file:line: field: reason" in `status`. */
struct quota_set *registry_load_file(const char *path, struct status *status);
struct quota_set *registry_load_text(const char *name, const char *text, size_t len, struct status *status);

/* The quotas of a frontend that was given no file: tenant demo, any resource, 5/s with burst 10. */
struct quota_set *registry_load_demo(struct status *status);

#endif
