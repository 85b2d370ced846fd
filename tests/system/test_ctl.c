/* test_ctl.c — sluicectl against a scripted admin endpoint: words, exit codes, and what it says on trouble. */
#include "tests/system/harness.h"

#include "tests/support/fake_frontend.h"
#include "tests/support/fake_http.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { LIMIT_S = 20, EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_TROUBLE = 2 };

#define QUOTA                                                                                                  \
    "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"100/s\",\"burst\":200," \
    "\"scope\":\"key\"}],\"on_store_failure\":\"local\",\"mode\":\"enforce\"}"
#define SET "{\"tenant\":\"acme\",\"resource\":\"api.read\",\"revision\":13,\"quota\":" QUOTA "}"
#define FRONTENDS(revision)                                                                                    \
    "{\"self\":\"a1\",\"revision\":13,\"frontends\":["                                                         \
    "{\"id\":\"a1\",\"address\":\"127.0.0.1:7380\",\"admin\":\"127.0.0.1:7381\",\"version\":\"0.1.0\","        \
    "\"revision\":13,\"started_at\":1763680000,\"degraded_shards\":0,\"silent_ms\":12},"                       \
    "{\"id\":\"b2\",\"address\":\"127.0.0.1:7390\",\"admin\":\"127.0.0.1:7391\",\"version\":\"0.1.0\","        \
    "\"revision\":" revision ",\"started_at\":1763680000,\"degraded_shards\":1,\"silent_ms\":900}]}"

struct world {
    struct harness *harness;
    struct fake_http *fake;
    struct run run;
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    world->fake = fake_http_start();
    setenv("HOME", world->harness->dir, 1);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    fake_http_stop(&world->fake);
    harness_close(&world->harness);
    free(world);
    return 0;
}

#define CTL(world, ...)                                                                                        \
    HARNESS_RUN_OURS((world)->harness, &(world)->run, LIMIT_S, "sluicectl", __VA_ARGS__, "--admin",            \
                     fake_http_address((world)->fake))

static void assert_run(const struct world *world, int code, const char *out, const char *err_part) {
    if (world->run.exit_code != code || strcmp(world->run.out, out) != 0 ||
        (err_part[0] == '\0' && world->run.err[0] != '\0')) {
        fail_msg("exit code %d, out: %s, err: %s", world->run.exit_code, world->run.out, world->run.err);
    }
    assert_contains(world->run.err, err_part);
}

static void assert_heard(struct world *world, const char *expected) {
    char *heard = fake_http_heard(world->fake);
    if (strcmp(heard, expected) != 0) {
        fail_msg("heard: %s\nnot: %s", heard, expected);
    }
    free(heard);
    fake_http_forget(world->fake);
}

/* ---- quota ---- */

static void test_set_puts_what_was_told(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 404, "{\"title\":\"Not Found\"}");
    fake_http_reply(world->fake, 201, SET);
    CTL(world, "quota", "set", "acme", "api.*", "--rate", "100/s", "--burst=200");
    assert_run(world, EXIT_DONE, "acme api.read: 100/s burst 200 (new, revision 13)\n", "");
    assert_heard(world, "GET /v1/tenants/acme/quotas/api.%2A\n"
                        "PUT /v1/tenants/acme/quotas/api.%2A\nContent-Type: application/json\n"
                        "{\"limits\":[{\"rate\":\"100/s\",\"burst\":200}]}\n");
    fake_http_reply(world->fake, 200, SET);
    CTL(world, "quota", "set", "acme", "api.read", "--unlimited", "--if-revision", "12", "--json");
    assert_run(world, EXIT_DONE, SET "\n", "");
    assert_heard(world,
                 "PUT /v1/tenants/acme/quotas/api.read\nContent-Type: application/json\nIf-Match: \"12\"\n"
                 "{\"unlimited\":true}\n");
    fake_http_reply(world->fake, 201, SET);
    CTL(world, "quota", "set", "acme", "api.read", "--unlimited", "--if-revision=0");
    assert_heard(world,
                 "PUT /v1/tenants/acme/quotas/api.read\nContent-Type: application/json\nIf-None-Match: *\n"
                 "{\"unlimited\":true}\n");
}

static void test_set_keeps_the_name_of_the_limit(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200,
                    "{\"revision\":3,\"quota\":{\"limits\":[{\"name\":\"per_key\",\"rate\":\"5/"
                    "s\",\"scope\":\"tenant\"}]}}");
    fake_http_reply(world->fake, 200, SET);
    CTL(world, "quota", "set", "acme", "api.read", "--rate", "100/s");
    assert_heard(world, "GET /v1/tenants/acme/quotas/api.read\n"
                        "PUT /v1/tenants/acme/quotas/api.read\nContent-Type: application/json\n"
                        "{\"limits\":[{\"name\":\"per_key\",\"rate\":\"100/s\",\"scope\":\"tenant\"}]}\n");
    fake_http_reply(world->fake, 200,
                    "{\"revision\":3,\"quota\":{\"limits\":[{\"name\":\"a\",\"rate\":\"5/s\"},"
                    "{\"name\":\"b\",\"rate\":\"9/h\"}]}}");
    CTL(world, "quota", "set", "acme", "api.read", "--rate", "100/s");
    assert_run(world, EXIT_REFUSED, "", "the quota has 2 limits, of which --rate would leave one");
    assert_heard(world, "GET /v1/tenants/acme/quotas/api.read\n");
}

static void test_set_sends_a_file_as_it_is(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    fake_http_reply(world->fake, 200, SET);
    CTL(world, "quota", "set", "acme", "api.read", "--file",
        harness_write(world->harness, "quota.json", "{ \"limits\": [] }", path));
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_heard(world,
                 "PUT /v1/tenants/acme/quotas/api.read\nContent-Type: application/json\n{ \"limits\": [] }\n");
}

static void test_a_conflict_shows_both_values(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, SET);
    fake_http_reply(
        world->fake, 412,
        "{\"title\":\"Precondition Failed\",\"detail\":\"the quota has another revision\",\"current\":" SET
        ",\"yours\":{\"limits\":[{\"rate\":\"50/s\",\"burst\":60}]}}");
    CTL(world, "quota", "set", "acme", "api.read", "--rate", "50/s", "--if-revision", "12");
    assert_run(world, EXIT_REFUSED, "",
               "sluicectl quota set: conflict: the quota has another revision\n"
               "  there now  100/s burst 200 (revision 13)\n"
               "  yours      50/s burst 60\n"
               "sluicectl quota set: nothing was changed; look at acme api.read, then ask again\n");
}

static void test_wait_returns_when_all_have_it(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, SET);
    fake_http_reply(world->fake, 200, SET);
    fake_http_reply(world->fake, 200, FRONTENDS("12"));
    fake_http_reply(world->fake, 200, FRONTENDS("14"));
    CTL(world, "quota", "set", "acme", "api.read", "--rate", "100/s", "--wait");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out, "\nin force on 2 frontends after ");
    assert_string_equal(world->run.err, "");
}

static void test_wait_names_those_that_have_it_not(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, "{\"revision\":13}");
    fake_http_reply_often(world->fake, 100, 200, FRONTENDS("12"));
    CTL(world, "quota", "delete", "acme", "api.read", "--if-revision=12", "--wait=100ms");
    assert_run(world, EXIT_TROUBLE, "acme api.read: deleted (revision 13)\n",
               "sluicectl quota delete: revision 13 is accepted, but after ");
    assert_contains(world->run.err, " not in force everywhere: b2 at 127.0.0.1:7390 (revision 12)\n");
}

static void test_get_and_list_show_quotas(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, SET);
    CTL(world, "quota", "get", "acme", "api.read");
    assert_run(world, EXIT_DONE, "acme api.read: 100/s burst 200 (revision 13)\n", "");
    fake_http_forget(world->fake);
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"deny\",\"quotas\":[" SET "],\"next\":\"x y\"}");
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"deny\",\"quotas\":[{\"tenant\":\"zeta\",\"resource\":\"*\","
                    "\"revision\":7,\"quota\":{\"unlimited\":true}}],\"next\":null}");
    CTL(world, "quota", "list", "--tenant", "a&b", "--prefix", "api.");
    assert_run(world, EXIT_DONE,
               "TENANT  RESOURCE  REVISION  QUOTA\n"
               "acme    api.read  13        100/s burst 200\n"
               "zeta    *         7         unlimited\n"
               "\n2 quotas, revision 13; what no quota matches: deny\n",
               "");
    assert_heard(world, "GET /v1/quotas?limit=1000&tenant=a%26b&prefix=api.\n"
                        "GET /v1/quotas?limit=1000&tenant=a%26b&prefix=api.&after=x%20y\n");
}

/* ---- files ---- */

static void test_apply_asks_before_it_changes(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    harness_write(world->harness, "q.yaml", "tenants: { acme: { b: { unlimited: true } } }", path);
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"allow\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "apply", path);
    assert_run(world, EXIT_TROUBLE, "+ acme b: unlimited\n1 to add, 0 to change, 0 to remove, 1 to keep\n",
               "nobody can be asked here; nothing was changed (--yes applies)");
    assert_heard(world, "GET /v1/quotas?limit=1000\n");
}

/* Runs `apply PATH` with a terminal as its input, where somebody types `answer`; returns the exit code. */
static int apply_at_terminal(struct world *world, const char *path, const char *answer) {
    char program[HARNESS_PATH_BYTES];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    assert_int_equal(write(master, answer, strlen(answer)), strlen(answer));
    harness_program("sluicectl", program);
    pid_t pid = harness_fork(world->harness, SIGTERM);
    if (pid == 0) {
        dup2(terminal, STDIN_FILENO);
        execl(program, program, "apply", path, "--admin", fake_http_address(world->fake), (char *)NULL);
        _exit(127);
    }
    int code = harness_wait(world->harness, pid, LIMIT_S * INT64_C(1000));
    close(terminal);
    close(master);
    return code;
}

static void test_apply_does_what_somebody_agrees_to(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    static const char empty[] = "{\"revision\":0,\"default\":\"allow\",\"quotas\":[],\"next\":null}";
    harness_write(world->harness, "q.yaml", "tenants: { acme: { b: { unlimited: true } } }", path);
    fake_http_reply(world->fake, 200, empty);
    assert_int_equal(apply_at_terminal(world, path, "\n"), EXIT_REFUSED);
    fake_http_reply(world->fake, 200, empty);
    assert_int_equal(apply_at_terminal(world, path, "no\n"), EXIT_REFUSED);
    assert_heard(world, "GET /v1/quotas?limit=1000\nGET /v1/quotas?limit=1000\n");
    fake_http_reply(world->fake, 200, empty);
    fake_http_reply(world->fake, 200, "{\"revision\":1,\"changed\":1}");
    assert_int_equal(apply_at_terminal(world, path, "y\n"), EXIT_DONE);
    char *heard = fake_http_heard(world->fake);
    assert_contains(heard, "POST /v1/quotas:apply\n");
    free(heard);
}

static void test_apply_sends_what_changes(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    harness_write(world->harness, "q.yaml", "tenants: { acme: { b: { unlimited: true } } }", path);
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"allow\",\"quotas\":[" SET "],\"next\":null}");
    fake_http_reply(world->fake, 200, "{\"revision\":15,\"changed\":2}");
    fake_http_reply(world->fake, 200, FRONTENDS("15"));
    CTL(world, "apply", path, "--replace", "--yes", "--wait=10ms");
    assert_int_equal(world->run.exit_code, EXIT_TROUBLE);
    assert_string_equal(world->run.out, "- acme api.read: 100/s burst 200\n"
                                        "+ acme b: unlimited\n"
                                        "1 to add, 0 to change, 1 to remove, 0 to keep\n"
                                        "applied: revision 15\n");
    assert_contains(world->run.err, "a1 at 127.0.0.1:7380 (revision 13)");
    char *heard = fake_http_heard(world->fake);
    assert_contains(heard, "POST /v1/quotas:apply\nContent-Type: application/json\n"
                           "{\"changes\":[{\"tenant\":\"acme\",\"resource\":\"api.read\",\"quota\":null,"
                           "\"if_revision\":13},{\"tenant\":\"acme\",\"resource\":\"b\",\"quota\":"
                           "{\"unlimited\":true},\"if_revision\":0}]}\n");
    free(heard);
}

static void test_apply_tells_how_far_it_came(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES], text[64 * 1024];
    size_t n = (size_t)snprintf(text, sizeof text, "tenants:\n  t:\n");
    for (int i = 0; i < 1001; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "    r%04d: { unlimited: true }\n", i);
    }
    harness_write(world->harness, "q.yaml", text, path);
    fake_http_reply(world->fake, 200, "{\"revision\":0,\"default\":\"allow\",\"quotas\":[],\"next\":null}");
    fake_http_reply(world->fake, 200, "{\"revision\":1000,\"changed\":1000}");
    fake_http_reply(world->fake, 412,
                    "{\"index\":0,\"tenant\":\"t\",\"resource\":\"r1000\",\"current\":null,\"yours\":{"
                    "\"unlimited\":true}}");
    CTL(world, "apply", path, "--yes");
    assert_int_equal(world->run.exit_code, EXIT_REFUSED);
    assert_contains(world->run.err, "  there now  none\n  yours      unlimited\n");
    assert_contains(world->run.err,
                    "1000 of 1001 changes were made before that, the last of them in revision 1000; "
                    "apply the file again to go on");
}

static void test_apply_without_a_difference_does_nothing(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    harness_write(world->harness, "q.yaml",
                  "tenants: { acme: { api.read: { limits: [ { rate: 100/s, burst: 200 } ] } } }", path);
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"allow\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "apply", path, "--replace");
    assert_run(world, EXIT_DONE, "nothing to change\n", "");
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"allow\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "diff", path, "--replace");
    assert_run(world, EXIT_DONE, "0 to add, 0 to change, 0 to remove, 1 to keep\n", "");
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"deny\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "diff", path, "--replace");
    assert_run(world, EXIT_REFUSED, "~ default: deny -> allow\n0 to add, 0 to change, 0 to remove, 1 to keep\n",
               "");
    harness_write(world->harness, "q.yaml", "tenants: { acme: { api.read: { limits: [ { rate: 10x } ] } } }",
                  path);
    CTL(world, "apply", path);
    assert_run(world, EXIT_TROUBLE, "", "q.yaml:1: tenants.acme.\"api.read\".limits[0].rate: '10x'");
}

static void test_export_is_what_sluiced_takes(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"deny\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "export");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    harness_write(world->harness, "exported.yaml", world->run.out, path);
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluiced", "--quotas", path, "--check");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    fake_http_reply(world->fake, 200,
                    "{\"revision\":13,\"default\":\"deny\",\"quotas\":[" SET "],\"next\":null}");
    CTL(world, "diff", path, "--replace");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
}

/* ---- buckets, fleet, changes ---- */

static void test_buckets_are_shown_and_reset(void **state) {
    struct world *world = *state;
    fake_http_reply(
        world->fake, 200,
        "{\"tenant\":\"acme\",\"resource\":\"api.read\",\"key\":\"a/b\",\"pattern\":\"api.*\",\"limits\":["
        "{\"name\":\"second\",\"scope\":\"tenant\",\"level\":12.5,\"burst\":200,\"rate\":\"100/"
        "s\",\"full_after_us\":1875000}],"
        "\"source\":\"store\"}");
    CTL(world, "bucket", "show", "acme", "api.read", "a/b");
    assert_run(world, EXIT_DONE,
               "quota api.*, as the store has it\n\n"
               "LIMIT   SCOPE   LEVEL  BURST  RATE   FULL AFTER\n"
               "second  tenant  12.5   200    100/s  1.9s\n",
               "");
    fake_http_reply(world->fake, 200, "{\"reset\":true}");
    CTL(world, "bucket", "reset", "acme", "api.read", "a/b");
    assert_run(world, EXIT_DONE, "reset: the next check finds full buckets\n", "");
    fake_http_reply(world->fake, 200, "{\"reset\":true}");
    CTL(world, "bucket", "reset", "acme", "api.read", "a/b", "--limit", "x&y");
    assert_run(world, EXIT_DONE, "reset: the next check finds full buckets\n", "");
    assert_heard(world, "GET /v1/tenants/acme/buckets/api.read/a%2Fb\n"
                        "POST /v1/tenants/acme/buckets/api.read/a%2Fb:reset\n"
                        "POST /v1/tenants/acme/buckets/api.read/a%2Fb:reset?limit_name=x%26y\n");
}

static void test_the_fleet_is_shown(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, FRONTENDS("12"));
    CTL(world, "frontends");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out,
                    "ID   ADDRESS         ADMIN           VERSION  REVISION     DEGRADED SHARDS  UP");
    assert_contains(world->run.out, "a1*  127.0.0.1:7380  127.0.0.1:7381  0.1.0    13           0 ");
    assert_contains(world->run.out, "b2   127.0.0.1:7390  127.0.0.1:7391  0.1.0    12 (behind)  1 ");
    assert_contains(world->run.out, "900ms ago\n");
    fake_http_reply(world->fake, 200, FRONTENDS("12"));
    CTL(world, "status");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out,
                    "frontends  2\nin force   not everywhere: b2 at 127.0.0.1:7390 (revision 12)\n"
                    "degraded   1 of them");
}

static void test_changes_are_listed_from_the_last_ones_on(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, "{\"revision\":113,\"default\":\"allow\",\"quotas\":[],\"next\":null}");
    fake_http_reply(world->fake, 200,
                    "{\"changes\":["
                    "{\"revision\":14,\"what\":\"put\",\"at\":\"2026-11-21T01:02:03Z\",\"who\":\"alice\","
                    "\"from\":\"10.0.0.1\",\"tenant\":\"acme\",\"resource\":\"r\",\"old\":null,\"new\":" QUOTA
                    "},"
                    "{\"revision\":14,\"what\":\"refused\",\"at\":\"2026-11-21T01:02:04Z\",\"who\":\"bob\","
                    "\"from\":\"10.0.0.2\",\"tenant\":\"acme\",\"resource\":\"r\",\"new\":\"{10x\\u001b\","
                    "\"detail\":\"not JSON\"}],\"next\":\"14-1\"}");
    fake_http_reply(world->fake, 200,
                    "{\"changes\":[{\"revision\":15,\"what\":\"reset\",\"at\":\"2026-11-21T01:02:05Z\","
                    "\"who\":\"alice\",\"from\":\"10.0.0.1\",\"tenant\":\"acme\",\"resource\":\"r\","
                    "\"key\":\"k\"},{\"revision\":15,\"what\":\"reset\",\"at\":\"2026-11-21T01:02:06Z\","
                    "\"who\":\"alice\",\"from\":\"10.0.0.1\",\"tenant\":\"acme\",\"resource\":\"\","
                    "\"scope\":\"tenant\",\"limit\":\"day\"}],\"next\":null}");
    CTL(world, "changes", "--last", "100", "--tenant", "acme");
    assert_run(
        world, EXIT_DONE,
        "REVISION  AT                    WHO    FROM      WHAT     TENANT  RESOURCE  CHANGE\n"
        "14        2026-11-21T01:02:03Z  alice  10.0.0.1  put      acme    r         none -> 100/s burst 200\n"
        "14        2026-11-21T01:02:04Z  bob    10.0.0.2  refused  acme    r         {10x?: not JSON\n"
        "15        2026-11-21T01:02:05Z  alice  10.0.0.1  reset    acme    r         key k\n"
        "15        2026-11-21T01:02:06Z  alice  10.0.0.1  reset    acme              limit day (tenant)\n",
        "");
    assert_heard(world, "GET /v1/quotas?limit=1\n"
                        "GET /v1/changes?limit=1000&tenant=acme&after=13\n"
                        "GET /v1/changes?limit=1000&tenant=acme&after=14-1\n");
}

#define ENTRY(id) "{\"id\":\"" id "\",\"what\":\"reset\"}"
#define PAGE(next, ...) "{\"changes\":[" __VA_ARGS__ "],\"next\":" next "}"

static void test_following_asks_on_from_the_last_entry(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 200, PAGE("null", ));
    fake_http_reply(world->fake, 200, PAGE("\"13-0\"", ENTRY("12-1") "," ENTRY("13-0")));
    fake_http_reply(world->fake, 200, PAGE("null", ENTRY("13-1")));
    fake_http_reply(world->fake, 503, "{}");
    fake_http_reply(world->fake, 200, PAGE("null", ENTRY("14-0")));
    fake_http_reply(world->fake, 403, "{}");
    CTL(world, "changes", "--after", "12", "--follow", "--interval", "10ms", "--json");
    assert_run(world, EXIT_REFUSED, ENTRY("12-1") "\n" ENTRY("13-0") "\n" ENTRY("13-1") "\n" ENTRY("14-0") "\n",
               "(503); asking again\n");
    assert_heard(world, "GET /v1/changes?limit=1000&after=12\nGET /v1/changes?limit=1000&after=12\n"
                        "GET /v1/changes?limit=1000&after=13-0\nGET /v1/changes?limit=1000&after=13-1\n"
                        "GET /v1/changes?limit=1000&after=13-1\nGET /v1/changes?limit=1000&after=14-0\n");
}

static void test_shadow_report_asks_every_frontend(void **state) {
    struct world *world = *state;
    struct fake_http *other = fake_http_start();
    char frontends[512];
    snprintf(frontends, sizeof frontends,
             "{\"frontends\":[{\"id\":\"a1\",\"admin\":\"%s\"},{\"id\":\"b2\",\"admin\":\"%s\"}]}",
             fake_http_address(world->fake), fake_http_address(other));
    fake_http_reply(world->fake, 200, frontends);
    fake_http_reply(world->fake, 200,
                    "{\"shadow\":[{\"tenant\":\"t\",\"resource\":\"r\",\"allowed\":70,\"would_deny\":10}]}");
    fake_http_reply(other, 200,
                    "{\"shadow\":[{\"tenant\":\"t\",\"resource\":\"r\",\"allowed\":5,\"would_deny\":15}]}");
    CTL(world, "quota", "shadow-report");
    assert_run(world, EXIT_DONE,
               "TENANT  RESOURCE  ALLOWED  WOULD DENY  SHARE\n"
               "t       r         75       25          25.0%\n",
               "");
    fake_http_reply(world->fake, 200, frontends);
    fake_http_reply(world->fake, 200, "{\"shadow\":[]}");
    fake_http_reply(other, 503, "{}");
    fake_http_forget(world->fake);
    CTL(world, "quota", "shadow-report");
    assert_run(world, EXIT_TROUBLE, "no quota is in shadow mode\n", "frontend b2 is missing in the sum");
    assert_heard(world, "GET /v1/frontends\nGET /v1/shadow\n");
    fake_http_reply(world->fake, 200, "{\"self\":\"a1\",\"frontends\":[{\"id\":\"a1\"},{\"id\":\"b2\"}]}");
    fake_http_reply(world->fake, 200, "{\"shadow\":[]}");
    CTL(world, "quota", "shadow-report");
    assert_run(world, EXIT_TROUBLE, "no quota is in shadow mode\n",
               "frontend b2 is missing in the sum: it tells no admin address");
    fake_http_stop(&other);
}

#define HOT_ROW(key, checks, sources)                                                                          \
    "{\"tenant\":\"t\",\"resource\":\"r\",\"key\":\"" key "\",\"hot\":true,\"checks_per_s\":" checks           \
    ",\"denied_per_s\":1,\"sources\":{" sources "}}"

static void test_hot_keys_are_summed_over_every_frontend(void **state) {
    struct world *world = *state;
    struct fake_http *other = fake_http_start();
    char frontends[512];
    snprintf(frontends, sizeof frontends,
             "{\"frontends\":[{\"id\":\"a1\",\"admin\":\"%s\"},{\"id\":\"b2\",\"admin\":\"%s\"}]}",
             fake_http_address(world->fake), fake_http_address(other));
    fake_http_reply(world->fake, 200, frontends);
    fake_http_reply(world->fake, 200,
                    "{\"hotkeys\":[" HOT_ROW("big", "700", "\"store\":700") "," HOT_ROW(
                        "a\\u0000b", "9", "") "],\"silent_workers\":0}");
    fake_http_reply(other, 200,
                    "{\"hotkeys\":[" HOT_ROW("big", "50", "\"local\":50") "],\"silent_workers\":0}");
    CTL(world, "hot");
    assert_run(world, EXIT_DONE,
               "TENANT  RESOURCE  KEY  HOT  CHECKS/S  DENIED/S  DECIDED BY\n"
               "t       r         big  hot  750       2         store 700, local 50\n"
               "t       r         a?b  hot  9         1         -\n",
               "");
    assert_heard(world, "GET /v1/frontends\nGET /v1/hotkeys?limit=1000\n");
    fake_http_reply(world->fake, 200, frontends);
    fake_http_reply(world->fake, 200, "{\"hotkeys\":[],\"silent_workers\":0}");
    fake_http_reply(other, 200, "{\"hotkeys\":[],\"silent_workers\":1}");
    CTL(world, "hot");
    assert_run(world, EXIT_TROUBLE, "no key is checked often enough to be measured\n",
               "did not answer in time are missing: 1 of them");
    fake_http_stop(&other);
}

static void test_token_makes_a_line_for_the_file(void **state) {
    struct world *world = *state;
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "token", "alice", "--role", "operator");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out, "\n- { name: \"alice\", role: operator, sha256: ");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "token", "alice");
    assert_run(world, EXIT_TROUBLE, "", "say --role viewer or --role operator");
}

/* ---- trouble ---- */

static void test_every_kind_of_trouble_says_what_to_do(void **state) {
    struct world *world = *state;
    static const struct {
        int status;
        const char *body;
        int exit_code;
        const char *sentence;
    } cases[] = {
        {400, "{\"field\":\"limits[0].rate\",\"detail\":\"'10x' is not a rate\"}", EXIT_REFUSED,
         "refused (400): limits[0].rate: '10x' is not a rate"},
        {401, "{\"detail\":\"no such token\"}", EXIT_REFUSED, "set one by --token-file, SLUICE_TOKEN"},
        {403, "{\"detail\":\"bob is a viewer\"}", EXIT_REFUSED, "not allowed: bob is a viewer"},
        {404, "{\"detail\":\"there is no quota\"}", EXIT_REFUSED, "refused (404): there is no quota"},
        {503, "{\"detail\":\"Redis is down\"}", EXIT_TROUBLE, "cannot do it now (503): Redis is down"},
        {200, "<html>", EXIT_TROUBLE, "is it the admin address of sluiced?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_http_reply(world->fake, cases[i].status, cases[i].body);
        CTL(world, "quota", "get", "acme", "api.read");
        assert_run(world, cases[i].exit_code, "", cases[i].sentence);
    }
    fake_http_reply(world->fake, 404, "{\"detail\":\"there is no quota\"}");
    CTL(world, "quota", "get", "acme", "api.read", "--json");
    assert_run(world, EXIT_REFUSED, "{\"detail\":\"there is no quota\"}\n", "there is no quota");
}

static void test_a_server_that_is_slow_or_absent_is_trouble(void **state) {
    struct world *world = *state;
    char nowhere[32];
    int fd;
    fake_http_reply_never(world->fake);
    CTL(world, "status", "--timeout", "50ms");
    assert_run(world, EXIT_TROUBLE, "", "no whole answer within 50ms; allow more with --timeout");
    snprintf(nowhere, sizeof nowhere, "127.0.0.1:%u", (unsigned)fake_refusing_port(&fd));
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "status", "--admin", nowhere);
    close(fd);
    assert_run(world, EXIT_TROUBLE, "", "is sluiced running, and is this its admin address?");
}

static void test_the_token_goes_along(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES];
    fake_http_reply(world->fake, 200, "{\"frontends\":[]}");
    CTL(world, "hot", "--token-file", harness_write(world->harness, "token", "secret\n", path));
    assert_heard(world, "GET /v1/frontends\nAuthorization: Bearer secret\n");
    CTL(world, "hot", "--token-file", "/nonexistent");
    assert_run(world, EXIT_TROUBLE, "", "/nonexistent: No such file or directory");
}

static void test_words_that_are_no_command(void **state) {
    struct world *world = *state;
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "quotas");
    assert_run(world, EXIT_TROUBLE, "", "unknown command 'quotas'; 'sluicectl --help' lists the commands");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "quota", "sett");
    assert_run(world, EXIT_TROUBLE, "", "  quota set ");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "quota", "set", "acme", "r", "--rats",
                     "1/s");
    assert_run(world, EXIT_TROUBLE, "", "unknown option --rats; 'sluicectl quota set --help' lists them");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "--version");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out, "sluicectl ");
    HARNESS_RUN_OURS(world->harness, &world->run, LIMIT_S, "sluicectl", "bucket", "show", "--help");
    assert_int_equal(world->run.exit_code, EXIT_DONE);
    assert_contains(world->run.out, "Usage: sluicectl bucket show TENANT RESOURCE KEY [OPTION ...]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_puts_what_was_told, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_set_keeps_the_name_of_the_limit, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_set_sends_a_file_as_it_is, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_conflict_shows_both_values, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_wait_returns_when_all_have_it, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_wait_names_those_that_have_it_not, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_get_and_list_show_quotas, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_apply_asks_before_it_changes, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_apply_does_what_somebody_agrees_to, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_apply_sends_what_changes, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_apply_tells_how_far_it_came, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_apply_without_a_difference_does_nothing, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_export_is_what_sluiced_takes, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_buckets_are_shown_and_reset, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_the_fleet_is_shown, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_changes_are_listed_from_the_last_ones_on, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_following_asks_on_from_the_last_entry, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_shadow_report_asks_every_frontend, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_hot_keys_are_summed_over_every_frontend, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_token_makes_a_line_for_the_file, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_every_kind_of_trouble_says_what_to_do, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_server_that_is_slow_or_absent_is_trouble, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_the_token_goes_along, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_words_that_are_no_command, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
