/* fleet_get.h — one GET of every frontend that lives, at the admin address that it tells the others. */
#ifndef SLUICE_CTL_FLEET_GET_H
#define SLUICE_CTL_FLEET_GET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "admin/ctl/session.h"

struct fleet_get {
    const char *path;
    /* Takes one frontend's answer, borrowed. False when memory is short. */
    bool (*add)(void *arg, const json_t *answer);
    void *arg;
    /* out */
    size_t n_frontends, n_answered;
};

/* Complains of each frontend that does not answer, and goes on. Returns CTL_DONE when the frontends are known, however
 * many of them have answered; else the exit code, after a complaint. */
int fleet_get(struct session *session, struct fleet_get *get);

#endif
