/* wait.c — polls /v1/frontends. */
#include "admin/ctl/wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"
#include "server/base/clock.h"

enum { POLL_FIRST_US = 5 * 1000, POLL_MAX_US = 100 * 1000 };

static void name_laggard(const json_t *frontend, size_t n_before, struct status *laggards) {
    char id[64], address[128];
    size_t used = strlen(laggards->text);
    snprintf(laggards->text + used, sizeof laggards->text - used, "%s%s at %s (revision %" PRId64 ")",
             n_before > 0 ? ", " : "", columns_tame(field_text(frontend, "id"), id, sizeof id),
             columns_tame(field_text(frontend, "address"), address, sizeof address),
             field_integer(frontend, "revision"));
}

void wait_judge(const json_t *frontends, int64_t revision, struct wait_result *result) {
    const json_t *list = field_list(frontends, "frontends");
    size_t n_laggards = 0;
    result->n_frontends = json_array_size(list);
    result->laggards.text[0] = '\0';
    for (size_t i = 0; i < result->n_frontends; i++) {
        const json_t *frontend = json_array_get(list, i);
        if (field_integer(frontend, "revision") < revision) {
            name_laggard(frontend, n_laggards++, &result->laggards);
        }
    }
    if (result->n_frontends == 0) {
        status_fail(&result->laggards, "no frontend is known to be alive");
    }
    result->is_everywhere = result->n_frontends > 0 && n_laggards == 0;
}

void wait_for_revision(struct api *api, int64_t revision, int64_t limit_us, struct wait_result *result) {
    static const struct api_call call = {.method = "GET", .path = "/v1/frontends"};
    int64_t started_at_us = clock_mono_us(), pause_us = POLL_FIRST_US, left_us = limit_us;
    *result = (struct wait_result){.is_everywhere = false};
    do {
        struct api_reply reply;
        struct status reason;
        struct api hurried = *api;
        hurried.timeout_us = left_us < api->timeout_us ? left_us : api->timeout_us;
        if (api_call(&hurried, &call, &reply, &reason) == API_DONE) {
            wait_judge(reply.json, revision, result);
        } else if (result->n_frontends == 0) {
            result->laggards = reason; /* what was last known of frontends says more */
        }
        api_reply_deinit(&reply);
        result->took_us = clock_mono_us() - started_at_us;
        left_us = limit_us - result->took_us;
        if (!result->is_everywhere && left_us > 0) {
            usleep((useconds_t)(pause_us < left_us ? pause_us : left_us));
            pause_us = 2 * pause_us < POLL_MAX_US ? 2 * pause_us : POLL_MAX_US;
        }
    } while (!result->is_everywhere && left_us > 0);
}
