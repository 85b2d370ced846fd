/* two_frontends.h — two frontends by one cluster, of one and of two workers, and a connection to each. */
#ifndef SLUICE_TESTS_TWO_FRONTENDS_H
#define SLUICE_TESTS_TWO_FRONTENDS_H

#include "tests/system/cluster.h"
#include "tests/system/raw_client.h"

enum { N_FRONTENDS = 2 };

struct two_frontends {
    struct harness *harness;
    struct cluster cluster;
    struct frontend frontends[N_FRONTENDS];
    struct raw_client *raw[N_FRONTENDS]; /* new for each test */
};

/* For the setup and the teardown of a group, whose state it is: all but the connections. */
int two_frontends_open(void **state, const char *quotas);
int two_frontends_close(void **state);
/* For those of a test. */
int two_frontends_connect(void **state);
int two_frontends_disconnect(void **state);
#define TWO_FRONTENDS_TEST(test)                                                                               \
    cmocka_unit_test_setup_teardown(test, two_frontends_connect, two_frontends_disconnect)

#endif
