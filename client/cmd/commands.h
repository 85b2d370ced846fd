/* commands.h — the commands of `sluice`; each lives in its own cmd_*.c, refund and settle in one, and
 * knows nothing of the others. */
#ifndef SLUICE_CLIENT_CMD_COMMANDS_H
#define SLUICE_CLIENT_CMD_COMMANDS_H

#include "client/cmd/options.h"

/* Exit codes; scripts rely on them. */
enum { EXIT_ALLOWED = 0, EXIT_DENIED = 1, EXIT_ERROR = 2 };

extern const struct command cmd_batch;
extern const struct command cmd_bench;
extern const struct command cmd_check;
extern const struct command cmd_ping;
extern const struct command cmd_refund;
extern const struct command cmd_replay;
extern const struct command cmd_reserve;
extern const struct command cmd_settle;
extern const struct command cmd_simulate;

#endif
