/* follower.h — asks Redis what the feed wants to know, on connections of its own, so that waiting for the next change
 * blocks nobody; see server/quota/feed.h. On the main thread's loop. */
#ifndef SLUICE_SERVER_FOLLOWER_H
#define SLUICE_SERVER_FOLLOWER_H

#include <ev.h>
#include <stdbool.h>

#include "server/base/status.h"
#include "server/core/quota_set.h"
#include "server/quota/feed.h"
#include "server/store/cluster.h"

/* A new set is in force; borrowed. */
typedef void (*follower_set_fn)(void *arg, struct quota_set *set);

struct follower_options {
    struct cluster_options cluster; /* scripts and what hangs on them are the follower's */
    struct feed_options feed;
    follower_set_fn on_set;
    void *arg;
};

struct follower;

/* Borrows what the options point to; the sets are held. NULL with a reason in `status`. */
struct follower *follower_create(struct ev_loop *loop, const struct follower_options *options,
                                 struct status *status);
/* Nulls the pointer. Not from a callback. */
void follower_destroy(struct follower **follower);

const struct feed *follower_feed(const struct follower *follower);

#endif
