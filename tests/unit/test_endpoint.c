/* test_endpoint.c — a frontend's address as text, and the socket addresses it stands for. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "client/endpoint.h"

static void assert_parts(const char *text, const char *host, const char *port, const char *name) {
    struct endpoint endpoint;
    char message[256] = "";
    assert_true(endpoint_parse(&endpoint, text, message, sizeof message));
    assert_string_equal(endpoint.host, host);
    assert_string_equal(endpoint.port, port);
    assert_string_equal(endpoint.name, name);
    assert_null(endpoint.addresses);
    assert_string_equal(message, "");
}

static void assert_refused(const char *text, const char *message_expected) {
    struct endpoint endpoint;
    char message[512] = "";
    assert_false(endpoint_parse(&endpoint, text, message, sizeof message));
    assert_string_equal(message, message_expected);
}

static void test_host_and_port_are_split(void **state) {
    (void)state;
    assert_parts("127.0.0.1:7380", "127.0.0.1", "7380", "127.0.0.1:7380");
    assert_parts("limits.example.org:1", "limits.example.org", "1", "limits.example.org:1");
    assert_parts("a:65535", "a", "65535", "a:65535");
}

static void test_missing_port_is_7380(void **state) {
    (void)state;
    assert_parts("localhost", "localhost", "7380", "localhost:7380");
    assert_parts("[::1]", "::1", "7380", "[::1]:7380");
}

static void test_v6_literal_stands_in_brackets(void **state) {
    (void)state;
    assert_parts("[::1]:80", "::1", "80", "[::1]:80");
    assert_refused("::1", "address \"::1\": an IPv6 address is written in brackets, as in [::1]:7380");
    assert_refused("[::1", "address \"[::1\": ']' is missing");
    assert_refused("[::1]80", "address \"[::1]80\": only :PORT may follow the host");
}

static void test_bad_port_is_refused(void **state) {
    static const char *const texts[] = {"a:",   "a:0",  "a:65536", "a:7x",
                                        "a:-1", "a:+1", "a: 1",    "a:999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char message[128];
        snprintf(message, sizeof message, "address \"%s\": the port is not a number from 1 to 65535", texts[i]);
        assert_refused(texts[i], message);
    }
}

static void test_bad_host_is_refused(void **state) {
    static const char *const texts[] = {"", ":7380", "[]:7380", "a b:1", "a\t", "\x7f"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char message[128];
        snprintf(message, sizeof message,
                 "address \"%s\": the host is missing, too long, or holds a blank or control character",
                 texts[i]);
        assert_refused(texts[i], message);
    }
}

static void test_host_of_253_bytes_is_the_longest(void **state) {
    struct endpoint endpoint;
    char text[300], message[512];
    (void)state;
    memset(text, 'h', sizeof text);
    text[253] = '\0';
    assert_true(endpoint_parse(&endpoint, text, message, sizeof message));
    assert_int_equal(strlen(endpoint.name), 253 + strlen(":7380"));
    text[253] = 'h';
    text[254] = '\0';
    assert_false(endpoint_parse(&endpoint, text, message, sizeof message));
}

static void test_literals_resolve_to_themselves(void **state) {
    struct endpoint endpoint;
    char message[256];
    (void)state;
    assert_true(endpoint_parse(&endpoint, "127.0.0.1:81", message, sizeof message));
    assert_true(endpoint_resolve(&endpoint, message, sizeof message));
    struct sockaddr_in v4;
    memcpy(&v4, endpoint.addresses->ai_addr, sizeof v4);
    assert_int_equal(v4.sin_family, AF_INET);
    assert_int_equal(ntohs(v4.sin_port), 81);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), INADDR_LOOPBACK);
    endpoint_deinit(&endpoint);

    assert_true(endpoint_parse(&endpoint, "[::1]:82", message, sizeof message));
    assert_true(endpoint_resolve(&endpoint, message, sizeof message));
    struct sockaddr_in6 v6;
    memcpy(&v6, endpoint.addresses->ai_addr, sizeof v6);
    assert_int_equal(v6.sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6.sin6_port), 82);
    assert_memory_equal(&v6.sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
    endpoint_deinit(&endpoint);
    endpoint_deinit(&endpoint);
}

static void test_unresolvable_host_is_named(void **state) {
    struct endpoint endpoint;
    char message[256] = "";
    (void)state;
    assert_true(endpoint_parse(&endpoint, "[nonsense]:7380", message, sizeof message));
    assert_false(endpoint_resolve(&endpoint, message, sizeof message));
    assert_non_null(strstr(message, "address \"[nonsense]:7380\": "));
    assert_null(endpoint.addresses);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_and_port_are_split),
        cmocka_unit_test(test_missing_port_is_7380),
        cmocka_unit_test(test_v6_literal_stands_in_brackets),
        cmocka_unit_test(test_bad_port_is_refused),
        cmocka_unit_test(test_bad_host_is_refused),
        cmocka_unit_test(test_host_of_253_bytes_is_the_longest),
        cmocka_unit_test(test_literals_resolve_to_themselves),
        cmocka_unit_test(test_unresolvable_host_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
