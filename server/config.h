/* config.h — the options of sluiced: declared here once, read from flags, variables and a YAML file.
 *
 * Flags win over SLUICE_* variables, those over the file, that over the defaults. The list below makes the
 * struct's fields, the YAML keys (request_timeout), the flags (--request-timeout), the variables
 * (SLUICE_REQUEST_TIMEOUT), the help text, and what tests/check_docs.sh holds OPTIONS.md against.
 * Read once at start, by one thread; afterwards many may look. */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "server/base/option.h"
#include "server/base/status.h"

#define CONFIG_MS INT64_C(1000)
#define CONFIG_MIN (60000 * CONFIG_MS)
#define CONFIG_KIB INT64_C(1024)
#define CONFIG_GIB (CONFIG_KIB * CONFIG_KIB * CONFIG_KIB)

/* X(name, TYPE, default, min, max, reloadable, form, sentence); option.h says what each type means. */
#define CONFIG_OPTIONS(X)                                                                                      \
    X(listen, ADDRESS, "127.0.0.1:7380", 0, 65535, false, "HOST:PORT",                                         \
      "Where checks are answered; port 0 takes any free port.")                                                \
    X(admin_listen, ADDRESS_OR_OFF, "127.0.0.1:7381", 0, 65535, false, "HOST:PORT|off",                        \
      "Where operators look and steer over HTTP; off serves nothing.")                                         \
    X(admin_tokens, PATH, "", 0, 4095, false, "FILE",                                                          \
      "Who may use the admin endpoint, by token; empty lets everybody, and only on a loopback address.")       \
    X(workers, INTEGER, "1", 1, 64, false, "N",                                                                \
      "Threads that answer checks; more than one needs redis_nodes.")                                          \
    X(quotas, PATH, "", 0, 4095, false, "FILE",                                                                \
      "The quota file; empty means the demo quotas. In a configuration file it is relative to that file.")     \
    X(quota_snapshot, PATH, "", 0, 4095, false, "FILE",                                                        \
      "Where the last quotas known from Redis are kept, for a start without Redis; empty means nowhere.")      \
    X(redis_nodes, ADDRESSES, "", 1, 65535, false, "HOST:PORT,...",                                            \
      "Some nodes of the Redis Cluster, or one plain Redis; empty means the embedded store.")                  \
    X(request_timeout, DURATION, "20ms", CONFIG_MS, CONFIG_MIN, false, "DURATION",                             \
      "Deadline of a request that names none.")                                                                \
    X(store_timeout, DURATION, "8ms", CONFIG_MS, CONFIG_MIN, false, "DURATION",                                \
      "How long a check waits for Redis; at most request_timeout.")                                            \
    X(redis_user, TEXT, "", 0, 255, false, "NAME",                                                             \
      "The user that logs in to Redis; empty means the default user. Needs redis_password_file.")              \
    X(redis_password_file, PATH, "", 0, 4095, false, "FILE",                                                   \
      "A file that holds the password for Redis and nothing else; empty means no login.")                      \
    X(redis_connect_timeout, DURATION, "500ms", CONFIG_MS, CONFIG_MIN, false, "DURATION",                      \
      "How long a Redis node may take until it is ready: its name's lookup, connecting and login together.")   \
    X(redis_max_inflight, INTEGER, "4096", 1, 1000000, false, "N",                                             \
      "Checks that one worker has under way at one Redis node; more are refused at once.")                     \
    X(redis_breaker, CHOICE, "on", 0, 0, false, "on|off",                                                      \
      "Whether a Redis node that fails is left alone, and checks that need it are refused at once.")           \
    X(redis_breaker_samples, INTEGER, "20", 1, 1000000, false, "N",                                            \
      "Calls within a second below which their failures do not open the breaker.")                             \
    X(redis_breaker_failures, INTEGER, "50", 1, 100, false, "PERCENT",                                         \
      "Of the calls within a second; so many failures open the breaker.")                                      \
    X(redis_breaker_silence, DURATION, "100ms", CONFIG_MS, CONFIG_MIN, false, "DURATION",                      \
      "No reply for so long with checks under way opens the breaker.")                                         \
    X(redis_breaker_probe, DURATION, "100ms", CONFIG_MS, CONFIG_MIN, false, "DURATION",                        \
      "At least so far apart, and at most twice that, one check tries a node whose breaker is open.")          \
    X(fallback_keys, INTEGER, "262144", 1024, 1000000000, false, "N",                                          \
      "Keys whose buckets are at hand when Redis cannot decide; beyond these, some share buckets.")            \
    X(fleet_size, INTEGER, "1", 1, 1000, false, "N",                                                           \
      "Frontends taken to be alive until Redis has told how many are.")                                        \
    X(hot_rate, INTEGER, "1000", 1, 10000000, false, "N",                                                      \
      "A key checked so often in a second, at one worker, is hot, whatever the others are.")                   \
    X(hot_rate_least, INTEGER, "100", 1, 10000000, false, "N",                                                 \
      "A key checked less often is not, though others be checked five times less; at most hot_rate.")          \
    X(embedded_keys, INTEGER, "1000000", 1024, 1000000000, false, "N",                                         \
      "Keys that the embedded store has room for; when it is crowded, some share buckets.")                    \
    X(max_connections, INTEGER, "10000", 1, 1000000, false, "N",                                               \
      "Clients connected to one worker; more are closed at once.")                                             \
    X(max_inflight, INTEGER, "1000", 1, 1000000, false, "N",                                                   \
      "Checks under way for one connection; at more it is not read.")                                          \
    X(max_output_bytes, BYTES, "1MiB", 64 * CONFIG_KIB, CONFIG_GIB, false, "BYTES",                            \
      "Unsent answers of one connection; at more it is not read.")                                             \
    X(frame_timeout, DURATION, "10s", 10 * CONFIG_MS, 10 * CONFIG_MIN, false, "DURATION",                      \
      "How long a frame may stay incomplete before its connection is closed.")                                 \
    X(drain_timeout, DURATION, "5s", CONFIG_MS, 10 * CONFIG_MIN, false, "DURATION",                            \
      "How long answers under way may take after SIGTERM or SIGINT.")                                          \
    X(log_level, CHOICE, "info", 0, 0, false, "error|warn|info|debug",                                         \
      "The least severe lines that are logged.")                                                               \
    X(log_format, CHOICE, "text", 0, 0, false, "text|json", "How lines are logged on standard error.")

/* Values of log_level are those of enum log_level in log.h. */
enum config_switch { CONFIG_ON, CONFIG_OFF };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

enum { CONFIG_MAX_WARNINGS = 4, CONFIG_WARNING_BYTES = 128 };

struct config {
    CONFIG_OPTIONS(OPTION_FIELD)
    /* Sentences, to be logged once logging is set up. */
    uint32_t n_warnings;
    char warnings[CONFIG_MAX_WARNINGS][CONFIG_WARNING_BYTES];
};

/* What the command line asks for. */
enum config_action {
    CONFIG_RUN,
    CONFIG_CHECK, /* --check: validate everything and exit */
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_DESCRIBE_OPTIONS,
    CONFIG_DESCRIBE_METRICS,
};

/* Reads main's arguments and environment (NULL-terminated "NAME=value" texts) and the file that they name. On
 * false, `status` says which source, field and reason, and nothing is held. On true, `config` holds values for
 * CONFIG_RUN and CONFIG_CHECK and is all zero for the other actions; config_deinit is right for all. */
bool config_load(int argc, char *const *argv, char *const *env, struct config *config,
                 enum config_action *action, struct status *status) __attribute__((warn_unused_result));
void config_deinit(struct config *config);

void config_print_help(FILE *out);
/* A line for each option: name, type with range, default, reloadable (yes or no), sentence; tabs between. */
void config_describe_options(FILE *out);

#endif
