/* test_node_addr.c — addresses as operators and Redis write them. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>

#include "server/store/node_addr.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void assert_parsed(const char *text, const char *host, uint16_t port) {
    struct node_addr addr;
    assert_true(node_addr_parse(of(text), NULL, &addr));
    assert_string_equal(addr.host, host);
    assert_int_equal(addr.port, port);
}

static void test_hosts_and_ports_are_read(void **state) {
    (void)state;
    assert_parsed("127.0.0.1:7001", "127.0.0.1", 7001);
    assert_parsed("redis.internal:1", "redis.internal", 1);
    assert_parsed("[::1]:65535", "::1", 65535);
    assert_parsed("fe80::1:6379", "fe80::1", 6379);
}

static void test_what_is_no_address_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",           "host",    "host:",   ":",           "host:0",
                                        "host:65536", "host:-1", "host:1x", "host:123456", "ho st:1",
                                        ":6379",      "[]:6379", "host:+1", "a\nb:1"};
    struct node_addr addr;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(node_addr_parse(of(texts[i]), NULL, &addr));
    }
    assert_false(node_addr_parse((struct bytes){0}, NULL, &addr));
}

static void test_a_host_too_long_is_refused(void **state) {
    (void)state;
    char text[NODE_ADDR_HOST_MAX_BYTES + 4];
    memset(text, 'a', sizeof text);
    memcpy(text + NODE_ADDR_HOST_MAX_BYTES, ":1", 3);
    struct node_addr addr;
    assert_true(node_addr_parse(of(text), NULL, &addr));
    memcpy(text + NODE_ADDR_HOST_MAX_BYTES, "a:1", 4);
    assert_false(node_addr_parse(of(text), NULL, &addr));
}

static void test_an_unknown_host_is_the_fallbacks(void **state) {
    (void)state;
    struct node_addr fallback, addr;
    assert_true(node_addr_parse(of("10.0.0.7:1"), NULL, &fallback));
    assert_true(node_addr_parse(of(":6381"), &fallback, &addr));
    assert_string_equal(addr.host, "10.0.0.7");
    assert_int_equal(addr.port, 6381);
    assert_true(node_addr_set((struct bytes){0}, 6382, &fallback, &addr));
    assert_string_equal(addr.host, "10.0.0.7");
    assert_true(node_addr_set(of("?"), 6382, &fallback, &addr));
    assert_string_equal(addr.host, "10.0.0.7");
    assert_false(node_addr_set(of("?"), 6382, NULL, &addr));
}

static void test_same_means_same_host_and_port(void **state) {
    (void)state;
    struct node_addr a, b, c, d;
    assert_true(node_addr_parse(of("h:1"), NULL, &a));
    assert_true(node_addr_parse(of("h:1"), NULL, &b));
    assert_true(node_addr_parse(of("h:2"), NULL, &c));
    assert_true(node_addr_parse(of("g:1"), NULL, &d));
    assert_true(node_addr_is_same(&a, &b));
    assert_false(node_addr_is_same(&a, &c));
    assert_false(node_addr_is_same(&a, &d));
}

static void test_formatted_as_it_is_read(void **state) {
    (void)state;
    char text[NODE_ADDR_TEXT_BYTES];
    struct node_addr addr;
    assert_true(node_addr_parse(of("h:1"), NULL, &addr));
    node_addr_format(&addr, text);
    assert_string_equal(text, "h:1");
    assert_true(node_addr_parse(of("::1:65535"), NULL, &addr));
    node_addr_format(&addr, text);
    assert_string_equal(text, "[::1]:65535");
}

static void test_numbers_resolve_to_themselves(void **state) {
    (void)state;
    struct node_addr addr;
    struct sockaddr_storage found[2];
    const char *problem = NULL;
    assert_true(node_addr_parse(of("127.0.0.1:7001"), NULL, &addr));
    assert_int_equal(node_addr_resolve(&addr, found, 2, &problem), 1);
    struct sockaddr_in v4;
    memcpy(&v4, &found[0], sizeof v4);
    assert_int_equal(node_addr_socklen(&found[0]), sizeof v4);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(v4.sin_port), 7001);
    assert_true(node_addr_parse(of("[::1]:7002"), NULL, &addr));
    assert_int_equal(node_addr_resolve(&addr, found, 2, &problem), 1);
    assert_int_equal(found[0].ss_family, AF_INET6);
    assert_int_equal(node_addr_socklen(&found[0]), sizeof(struct sockaddr_in6));
}

static void test_only_numbers_are_converted(void **state) {
    (void)state;
    struct node_addr addr;
    struct sockaddr_storage found;
    assert_true(node_addr_parse(of("127.0.0.1:7001"), NULL, &addr));
    assert_true(node_addr_convert(&addr, &found));
    assert_int_equal(found.ss_family, AF_INET);
    assert_true(node_addr_parse(of("[::1]:7002"), NULL, &addr));
    assert_true(node_addr_convert(&addr, &found));
    assert_int_equal(found.ss_family, AF_INET6);
    assert_true(node_addr_parse(of("localhost:7001"), NULL, &addr));
    assert_false(node_addr_convert(&addr, &found));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_and_ports_are_read),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_a_host_too_long_is_refused),
        cmocka_unit_test(test_an_unknown_host_is_the_fallbacks),
        cmocka_unit_test(test_same_means_same_host_and_port),
        cmocka_unit_test(test_formatted_as_it_is_read),
        cmocka_unit_test(test_numbers_resolve_to_themselves),
        cmocka_unit_test(test_only_numbers_are_converted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
