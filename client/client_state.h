/* client_state.h — what a client is made of; shared by the parts of the library that handle its calls.
 *
 *   client.c           opened, closed; what happens on its connections
 *   client_accept.c    a call is taken, judged, encoded
 *   client_route.c     ... sent to a frontend, or held until there is one
 *   client_failover.c  ... sent elsewhere, when it cannot have been charged
 *   client_hedge.c     ... asked of a second frontend, when the answer is late
 *   client_end.c       ... ended: answered, failed, timed out
 *
 * One thread. */
#ifndef SLUICE_CLIENT_CLIENT_STATE_H
#define SLUICE_CLIENT_CLIENT_STATE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_call.h"
#include "client/client_hedge.h"
#include "client/client_policy.h"
#include "client/client_servers.h"
#include "client/sluice.h"
#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/list.h"

enum { CLIENT_MAGIC = 0x534c4349 };

struct sluice_client {
    uint32_t magic;
    bool owns_loop, is_closing;
    uint32_t timeout_ms, max_retries;
    struct client_policy policy;
    struct client_hedging hedging;
    uint64_t n_late_answers;
    struct ev_loop *loop;
    struct client_servers servers;
    struct client_calls calls;
    struct list waiting, paused, refused;
    size_t kept_bytes, waiting_bytes; /* of all frames that calls own, and of those that wait */
    /* Scratch. The first two serve accepting, which a callback may do; the others answering, never nested. */
    struct wire_request request;
    uint8_t frame[FRAME_MAX_BYTES];
    struct wire_codec *codec;
    struct wire_response response;
    struct sluice_decision decisions[SLUICE_BATCH_MAX];
    struct sluice_booking booking;
};

#endif
