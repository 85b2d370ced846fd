/* tcp_proxy.h — a bad network between two programs on loopback: a TCP proxy that delays, drops and cuts off.
 *
 * It runs in a process of its own; the test sets how bad things are while it runs. */
#ifndef SLUICE_TESTS_SUPPORT_TCP_PROXY_H
#define SLUICE_TESTS_SUPPORT_TCP_PROXY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared with the proxy; all may be changed at any time. */
struct tcp_proxy_weather {
    atomic_uint delay_ms;     /* of what the target sends */
    atomic_uint drop_percent; /* of the connections: so many are closed, every 100 ms */
    atomic_bool is_cut;       /* nothing passes and nothing is closed, as if packets were lost */
};

struct tcp_proxy {
    uint16_t port; /* where it listens, on 127.0.0.1 */
    int listen_fd;
    struct tcp_proxy_weather *weather;
};

/* Listens on a free port of 127.0.0.1. False when something fails; then there is nothing to close. */
bool tcp_proxy_open(struct tcp_proxy *proxy) __attribute__((warn_unused_result));
void tcp_proxy_close(struct tcp_proxy *proxy);

/* Passes connections on to a port of 127.0.0.1, for ever: call it in a child. */
_Noreturn void tcp_proxy_run(struct tcp_proxy *proxy, uint16_t target_port);

#endif
