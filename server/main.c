/* main.c — sluiced: reads what it is told, serves until a signal, leaves in order. */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "admin/http.h"
#include "admin/server_backend.h"
#include "admin/tokens.h"
#include "server/base/log.h"
#include "server/base/secret.h"
#include "server/config.h"
#include "server/quota/registry.h"
#include "server/server.h"
#include "server/stats.h"

enum { EXIT_BAD_INPUT = 2 };

extern char **environ;

static void on_stop_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
    (void)events;
    log_write(LOG_INFO, "main", "%s: stopping", strsignal(watcher->signum));
    ev_break(loop, EVBREAK_ALL);
}

/* SIGTERM and SIGINT end the loop; once stopped, a second signal ends the process at once. */
struct stop_signals {
    ev_signal terminate, interrupt;
};

static void stop_signals_start(struct stop_signals *signals, struct ev_loop *loop) {
    ev_signal_init(&signals->terminate, on_stop_signal, SIGTERM);
    ev_signal_init(&signals->interrupt, on_stop_signal, SIGINT);
    ev_signal_start(loop, &signals->terminate);
    ev_signal_start(loop, &signals->interrupt);
}

static void stop_signals_stop(struct stop_signals *signals, struct ev_loop *loop) {
    ev_signal_stop(loop, &signals->terminate);
    ev_signal_stop(loop, &signals->interrupt);
}

/* Connections are descriptors, and the usual soft limit, 1024, is soon reached. */
static void raise_descriptor_limit(const struct config *config) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        (rlim_t)(config->workers * config->max_connections) > limit.rlim_max) {
        log_write(LOG_WARN, "main", "max_connections is out of reach: the system allows %llu descriptors",
                  (unsigned long long)limit.rlim_max);
    }
}

static int fail(const struct status *status) {
    fprintf(stderr, "sluiced: %s\n", status->text);
    return EXIT_BAD_INPUT;
}

/* The admin endpoint and what it stands on. */
struct endpoint {
    struct tokens *tokens;
    struct backend *backend;
    struct admin admin;
    struct http *http; /* NULL: there is none */
};

static bool endpoint_start(struct endpoint *endpoint, struct ev_loop *loop, const struct config *config,
                           struct server *server, struct status *status) {
    if (config->admin_listen.is_off) {
        return true;
    }
    if (config->admin_tokens[0] != '\0') {
        endpoint->tokens = tokens_load(config->admin_tokens, status);
        if (endpoint->tokens == NULL) {
            return false;
        }
    }
    endpoint->backend = server_backend_create(server, SLUICE_VERSION);
    if (endpoint->backend == NULL) {
        return status_fail(status, "out of memory");
    }
    endpoint->admin = (struct admin){.backend = endpoint->backend, .tokens = endpoint->tokens};
    endpoint->http = http_start(loop, &config->admin_listen, &endpoint->admin, status);
    if (endpoint->http == NULL) {
        return false;
    }
    server_set_admin_address(server, http_address(endpoint->http));
    return true;
}

static void endpoint_stop(struct endpoint *endpoint) {
    http_stop(&endpoint->http);
    server_backend_destroy(&endpoint->backend);
    tokens_destroy(&endpoint->tokens);
}

static int serve(const struct config *config) {
    struct status status = {{0}};
    int exit_code = EXIT_BAD_INPUT;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* there is nothing to read anew */
    raise_descriptor_limit(config);
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
    struct stop_signals signals;
    stop_signals_start(&signals, loop);
    struct server *server = server_create(loop, config, SLUICE_VERSION, &status);
    struct endpoint endpoint = {.http = NULL};
    if (server == NULL || !endpoint_start(&endpoint, loop, config, server, &status)) {
        goto out;
    }
    const char *admin_address = endpoint.http != NULL ? http_address(endpoint.http) : "off";
    printf("ready checks=%s admin=%s\n", server_address(server), admin_address);
    fflush(stdout);
    log_write(LOG_INFO, "main", "sluiced %s serves checks at %s, admin at %s", SLUICE_VERSION,
              server_address(server), admin_address);
    ev_run(loop, 0);
    exit_code = EXIT_SUCCESS;

out:
    stop_signals_stop(&signals, loop);
    endpoint_stop(&endpoint);
    server_destroy(&server);
    ev_loop_destroy(loop);
    if (exit_code != EXIT_SUCCESS) {
        fail(&status);
    } else {
        log_write(LOG_INFO, "main", "stopped");
    }
    return exit_code;
}

static int check(const struct config *config) {
    struct status status;
    if (config->quotas[0] != '\0') {
        struct quota_set *quotas = registry_load_file(config->quotas, &status);
        if (quotas == NULL) {
            return fail(&status);
        }
        printf("%s: %u quotas\n", config->quotas, quota_set_count(quotas));
        quota_set_release(&quotas);
    }
    if (config->redis_password_file[0] != '\0') {
        char *password = secret_read(config->redis_password_file, &status);
        if (password == NULL) {
            return fail(&status);
        }
        secret_destroy(&password);
    }
    if (config->admin_tokens[0] != '\0') {
        struct tokens *tokens = tokens_load(config->admin_tokens, &status);
        if (tokens == NULL) {
            return fail(&status);
        }
        printf("%s: %zu tokens\n", config->admin_tokens, tokens_count(tokens));
        tokens_destroy(&tokens);
    }
    printf("configuration is valid\n");
    return EXIT_SUCCESS;
}

static int act(const struct config *config, enum config_action action) {
    switch (action) {
    case CONFIG_RUN:
        log_configure((enum log_level)config->log_level, config->log_format == CONFIG_LOG_JSON);
        for (uint32_t i = 0; i < config->n_warnings; i++) {
            log_write(LOG_WARN, "config", "%s", config->warnings[i]);
        }
        return serve(config);
    case CONFIG_CHECK:
        return check(config);
    case CONFIG_HELP:
        config_print_help(stdout);
        return EXIT_SUCCESS;
    case CONFIG_VERSION:
        printf("sluiced %s\n", SLUICE_VERSION);
        return EXIT_SUCCESS;
    case CONFIG_DESCRIBE_OPTIONS:
        config_describe_options(stdout);
        return EXIT_SUCCESS;
    case CONFIG_DESCRIBE_METRICS:
        stats_describe(stdout);
        return EXIT_SUCCESS;
    }
    return EXIT_BAD_INPUT;
}

int main(int argc, char **argv) {
    struct config config;
    enum config_action action;
    struct status status;
    if (!config_load(argc, argv, environ, &config, &action, &status)) {
        return fail(&status);
    }
    int exit_code = act(&config, action);
    config_deinit(&config);
    return exit_code;
}
