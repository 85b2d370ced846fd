/* test_cpu_wait.c — a thread that shares its processor with another waits for about half of the time. */
#include "tests/support/test_prelude.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/chaos/cpu_wait.h"
#include "tests/system/harness.h"

enum { SPINNERS = 2, LIMIT_US = 10 * 1000 * 1000, WAITED_US = 50 * 1000 };

static pid_t spin_on(int processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sched_setaffinity(0, sizeof one, &one);
        for (;;) {
            __asm__ volatile("");
        }
    }
    return pid;
}

static void test_wait_for_a_shared_processor_is_seen(void **state) {
    (void)state;
    pid_t pids[SPINNERS];
    int processor = sched_getcpu();
    for (size_t i = 0; i < SPINNERS; i++) {
        pids[i] = spin_on(processor);
    }
    struct cpu_wait wait;
    cpu_wait_open(&wait, pids[0]);
    int64_t deadline_us = harness_now_us() + LIMIT_US;
    int64_t waited_us = 0;
    while (wait.fd >= 0 && waited_us < WAITED_US && harness_now_us() < deadline_us) {
        harness_sleep_ms(5);
        waited_us = cpu_wait_us(&wait);
    }
    for (size_t i = 0; i < SPINNERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    if (wait.fd < 0) {
        skip(); /* a kernel that does not tell */
    }
    assert_true(waited_us >= WAITED_US);
    cpu_wait_close(&wait);
}

static void test_unknown_process_waits_for_nothing(void **state) {
    (void)state;
    struct cpu_wait wait;
    cpu_wait_open(&wait, 0x7ffffff0);
    assert_int_equal(wait.fd, -1);
    assert_int_equal(cpu_wait_us(&wait), 0);
    cpu_wait_close(&wait);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_for_a_shared_processor_is_seen),
        cmocka_unit_test(test_unknown_process_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
