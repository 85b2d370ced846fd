/* control_desk.h — what control.c lends to control_desk.c, where operators' calls (control.h) are carried out. */
#ifndef SLUICE_SERVER_CONTROL_DESK_H
#define SLUICE_SERVER_CONTROL_DESK_H

#include <ev.h>

#include "server/base/list.h"
#include "server/control.h"
#include "server/core/quota_set.h"
#include "server/store/cluster.h"

/* Of the scripts that the connection of control.c knows. */
enum control_script {
    CONTROL_SCRIPT_HEARTBEAT,
    CONTROL_SCRIPT_PUT,
    CONTROL_SCRIPT_NOTE,
    CONTROL_SCRIPT_FLEET,
    CONTROL_SCRIPT_CHECK,
    CONTROL_N_SCRIPTS
};

struct control_desk {
    struct cluster *cluster;
    struct quota_set *set; /* in force; held */
    struct list calls;     /* under way */
};

struct control_desk *control_desk(struct control *control);
/* Drops the calls that are under way. */
void control_desk_clear(struct control_desk *desk);

#endif
