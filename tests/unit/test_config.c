/* test_config.c — flags over variables over the file over defaults, and every mistake is named. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "server/config.h"

enum { MAX_WORDS = 16, TEXT_BYTES = 1024 };

static char dir[] = "/tmp/sluice_config_XXXXXX";
static char path[64];

/* One run of config_load. */
struct run {
    struct config config;
    enum config_action action;
    struct status status;
};

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Cuts `text` at its spaces; the words stay in `store`. Returns how many. */
static int split(const char *text, char store[TEXT_BYTES], char *words[MAX_WORDS]) {
    int n = 0;
    snprintf(store, TEXT_BYTES, "%s", text);
    for (char *word = strtok(store, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(n < MAX_WORDS - 1);
        words[n++] = word;
    }
    words[n] = NULL;
    return n;
}

/* Flags and variables are separated by spaces; `yaml` may be NULL: no file. */
static bool load(struct run *run, const char *flags, const char *variables, const char *yaml) {
    char *argv[MAX_WORDS], *env[MAX_WORDS], argv_store[TEXT_BYTES], env_store[TEXT_BYTES], line[TEXT_BYTES];
    snprintf(line, sizeof line, "sluiced %s%s %s", yaml != NULL ? "--config=" : "", yaml != NULL ? path : "",
             flags);
    if (yaml != NULL) {
        write_file(yaml);
    }
    int argc = split(line, argv_store, argv);
    split(variables, env_store, env);
    memset(run, 0xa5, sizeof *run);
    return config_load(argc, argv, env, &run->config, &run->action, &run->status);
}

static void assert_refused(const char *flags, const char *variables, const char *yaml, const char *reason) {
    struct run run;
    assert_false(load(&run, flags, variables, yaml));
    const char *text = run.status.text;
    if (yaml != NULL && strncmp(text, path, strlen(path)) == 0) {
        text += strlen(dir) + 1; /* "sluiced.yaml:…" */
    }
    assert_string_equal(text, reason);
    assert_null(run.config.quotas); /* nothing is held */
    assert_null(run.config.redis_nodes);
}

static int set_up(void **state) {
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/sluiced.yaml", dir);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void test_without_any_source_there_are_the_defaults(void **state) {
    (void)state;
    struct run run;
    assert_true(load(&run, "", "", NULL));
    const struct config *config = &run.config;
    assert_int_equal(run.action, CONFIG_RUN);
    assert_string_equal(config->listen.host, "127.0.0.1");
    assert_int_equal(config->listen.port, 7380);
    assert_int_equal(config->admin_listen.port, 7381);
    assert_int_equal(config->workers, 1);
    assert_string_equal(config->quotas, "");
    assert_string_equal(config->redis_nodes, "");
    assert_int_equal(config->request_timeout_us, 20000);
    assert_int_equal(config->store_timeout_us, 8000);
    assert_int_equal(config->redis_connect_timeout_us, 500000);
    assert_string_equal(config->redis_user, "");
    assert_string_equal(config->redis_password_file, "");
    assert_int_equal(config->redis_max_inflight, 4096);
    assert_int_equal(config->redis_breaker, CONFIG_ON);
    assert_int_equal(config->redis_breaker_samples, 20);
    assert_int_equal(config->redis_breaker_failures, 50);
    assert_int_equal(config->redis_breaker_silence_us, 100000);
    assert_int_equal(config->redis_breaker_probe_us, 100000);
    assert_int_equal(config->hot_rate, 1000);
    assert_int_equal(config->hot_rate_least, 100);
    assert_int_equal(config->embedded_keys, 1000000);
    assert_int_equal(config->max_connections, 10000);
    assert_int_equal(config->max_inflight, 1000);
    assert_int_equal(config->max_output_bytes, 1 << 20);
    assert_int_equal(config->frame_timeout_us, 10000000);
    assert_int_equal(config->drain_timeout_us, 5000000);
    assert_int_equal(config->log_level, 2);
    assert_int_equal(config->log_format, CONFIG_LOG_TEXT);
    assert_int_equal(config->n_warnings, 0);
    config_deinit(&run.config);
    assert_null(run.config.quotas);
}

static void test_flags_win_over_variables_and_those_over_the_file(void **state) {
    (void)state;
    struct run run;
    static const char yaml[] = "max_inflight: 10\nmax_connections: 10\nembedded_keys: 10000\n";
    assert_true(load(&run, "--max-inflight 30 --max-inflight 31",
                     "SLUICE_MAX_INFLIGHT=20 SLUICE_MAX_CONNECTIONS=20", yaml));
    assert_int_equal(run.config.max_inflight, 31);
    assert_int_equal(run.config.max_connections, 20);
    assert_int_equal(run.config.embedded_keys, 10000);
    assert_int_equal(run.config.redis_max_inflight, 4096);
    config_deinit(&run.config);
}

static void test_a_value_stands_behind_the_flag_or_an_equals_sign(void **state) {
    (void)state;
    struct run run;
    assert_refused("--log-format=json --quotas --check", "", NULL, "--quotas: needs a value");
    assert_true(load(&run, "--log-format=json --quotas= --redis-nodes a:1,b:2 --check", "", NULL));
    assert_int_equal(run.action, CONFIG_CHECK);
    assert_int_equal(run.config.log_format, CONFIG_LOG_JSON);
    assert_string_equal(run.config.redis_nodes, "a:1,b:2");
    config_deinit(&run.config);
    assert_refused("--workers", "", NULL, "--workers: needs a value");
    assert_refused("--workers=", "", NULL, "--workers: '' is not a whole number, such as 10");
    assert_refused("--check=yes", "", NULL, "--check: takes no value");
}

static void test_every_mistake_names_its_source(void **state) {
    (void)state;
    assert_refused("--workers 100", "", NULL, "--workers: 100 is above the maximum, 64");
    assert_refused("", "SLUICE_WORKERS=0", NULL, "SLUICE_WORKERS: 0 is below the minimum, 1");
    assert_refused("", "", "# c\nlog_level: info\nworkers: 100\n",
                   "sluiced.yaml:3: workers: 100 is above the maximum, 64");
    assert_refused("", "", "workers: [1]\n", "sluiced.yaml:1: workers: is a list; a text is needed");
    assert_refused("", "", "- workers\n", "sluiced.yaml:1: is a list; a map is needed");
    assert_refused("", "", "workers: 1\nworkers: 1\n",
                   "sluiced.yaml:2: workers: is given twice, first in line 1");
    assert_refused("--request-timeout 20", "", NULL,
                   "--request-timeout: '20' is not a duration, such as 250ms, 10s or 1min"
                   " (the units are us, ms, s, min and h)");
    assert_refused("--config /nowhere/x.yaml", "", NULL,
                   "/nowhere/x.yaml: cannot be opened: No such file or directory");
    assert_refused("--describe all", "", NULL, "--describe: 'all' is neither options nor metrics");
}

static void test_an_unknown_name_gets_a_suggestion(void **state) {
    (void)state;
    assert_refused("--wrokers 1", "", NULL, "--wrokers: there is no such option; did you mean --workers?");
    assert_refused("--request_timeout=1s", "", NULL,
                   "--request_timeout: there is no such option; did you mean --request-timeout?");
    assert_refused("--chekc", "", NULL, "--chekc: there is no such option; did you mean --check?");
    assert_refused("--nonsense", "", NULL, "--nonsense: there is no such option; see --help");
    assert_refused("serve", "", NULL, "'serve' is not an option; see --help");
    assert_refused("-h", "", NULL, "'-h' is not an option; see --help");
    assert_refused("--", "", NULL, "'--' is not an option; see --help");
    assert_refused("", "", "wokers: 1\n",
                   "sluiced.yaml:1: wokers: there is no such option; did you mean workers?");
    assert_refused("", "", "nonsense: 1\n",
                   "sluiced.yaml:1: nonsense: there is no such option; sluiced --help lists them");
}

static void test_a_misspelt_variable_is_warned_about_and_a_foreign_one_is_not(void **state) {
    (void)state;
    struct run run;
    assert_true(load(&run, "",
                     "SLUICE_WORKRES=4 SLUICE_PORT=tcp://10.0.0.1:7380 SLUICE_SERVER=a:1 SLUICE_SEED=7 "
                     "SLUICE_workers=9 WORKERS=9 SLUICE_=x SLUICE_WORKERS PATH=/bin",
                     NULL));
    assert_int_equal(run.config.n_warnings, 1);
    assert_string_equal(run.config.warnings[0],
                        "SLUICE_WORKRES is ignored: there is no option workres; did you mean workers?");
    assert_int_equal(run.config.workers, 1);
    config_deinit(&run.config);
    assert_true(
        load(&run, "", "SLUICE_WORKRE=1 SLUICE_WORKR=1 SLUICE_WORKER=1 SLUICE_LISTE=1 SLUICE_QUOTA=1", NULL));
    assert_int_equal(run.config.n_warnings, CONFIG_MAX_WARNINGS);
    config_deinit(&run.config);
}

static void test_the_variable_names_a_file_unless_a_flag_does(void **state) {
    (void)state;
    struct run run;
    char variable[96];
    write_file("max_inflight: 7\n");
    snprintf(variable, sizeof variable, "SLUICE_CONFIG=%s", path);
    assert_true(load(&run, "", variable, NULL));
    assert_int_equal(run.config.max_inflight, 7);
    config_deinit(&run.config);
    assert_true(load(&run, "", "SLUICE_CONFIG=", NULL));
    config_deinit(&run.config);
    assert_true(load(&run, "", "SLUICE_CONFIG=/nowhere", "max_inflight: 8\n"));
    assert_int_equal(run.config.max_inflight, 8);
    config_deinit(&run.config);
}

static void test_an_empty_file_changes_nothing(void **state) {
    (void)state;
    struct run run;
    assert_true(load(&run, "", "", "# workers: 2\n"));
    assert_int_equal(run.config.workers, 1);
    config_deinit(&run.config);
}

static void test_a_path_in_the_file_begins_at_its_folder(void **state) {
    (void)state;
    struct run run;
    char expected[128];
    snprintf(expected, sizeof expected, "%s/q/quotas.yaml", dir);
    assert_true(load(&run, "", "", "quotas: q/quotas.yaml\n"));
    assert_string_equal(run.config.quotas, expected);
    config_deinit(&run.config);
    assert_true(load(&run, "", "", "quotas: /etc/quotas.yaml\n"));
    assert_string_equal(run.config.quotas, "/etc/quotas.yaml");
    config_deinit(&run.config);
    assert_true(load(&run, "", "", "quotas: ''\n"));
    assert_string_equal(run.config.quotas, "");
    config_deinit(&run.config);
    assert_true(load(&run, "--quotas q.yaml", "", "quotas: x\n"));
    assert_string_equal(run.config.quotas, "q.yaml");
    config_deinit(&run.config);
}

static void test_options_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    struct run run;
    assert_refused("--workers 2", "", NULL,
                   "workers: the embedded store serves one worker; set redis_nodes or workers: 1");
    assert_true(load(&run, "--workers 2 --redis-nodes a:1", "", NULL));
    config_deinit(&run.config);
    assert_refused("--redis-user me", "", NULL, "redis_user: a user needs redis_password_file");
    assert_refused("--hot-rate 99", "", NULL, "hot_rate_least: 100 is above hot_rate, 99");
    assert_refused("--store-timeout 21ms", "", NULL, "store_timeout: 21ms is above request_timeout, 20ms");
    assert_true(load(&run, "--store-timeout 20ms", "", NULL));
    config_deinit(&run.config);
}

static void test_questions_are_answered_before_anything_is_read(void **state) {
    (void)state;
    static const struct {
        const char *flags;
        enum config_action action;
    } cases[] = {
        {"--help", CONFIG_HELP},
        {"--workers 100 --help --nonsense", CONFIG_HELP},
        {"--config /nowhere --version", CONFIG_VERSION},
        {"--describe options", CONFIG_DESCRIBE_OPTIONS},
        {"--describe=metrics", CONFIG_DESCRIBE_METRICS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run run;
        assert_true(load(&run, cases[i].flags, "SLUICE_WORKERS=x", NULL));
        assert_int_equal(run.action, cases[i].action);
        assert_null(run.config.quotas);
        config_deinit(&run.config);
    }
}

/* What `print` writes; to be freed. */
static char *printed(void (*print)(FILE *)) {
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static void test_help_names_every_option_within_80_columns(void **state) {
    (void)state;
#define OPTION_NAME(name, ...) #name,
    static const char *const names[] = {CONFIG_OPTIONS(OPTION_NAME)};
    char *help = printed(config_print_help);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "\n  --%s ", names[i]);
        for (char *c = flag; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        assert_non_null(strstr(help, flag));
    }
    for (const char *line = help; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        assert_true(len <= 80 + 2); /* a dash of three bytes */
        line += len + (line[len] == '\n');
    }
    assert_non_null(strstr(help,
                           "\n  --request-timeout DURATION\n        Deadline of a request that names none."
                           " (duration, 1ms to 1min; default\n        20ms)\n"));
    assert_non_null(strstr(help, "\n  --config FILE\n"));
    free(help);
}

static void test_described_options_have_five_columns(void **state) {
    (void)state;
#define PLUS_ONE(...) +1
    enum { N_OPTIONS = 0 CONFIG_OPTIONS(PLUS_ONE) };
    char *text = printed(config_describe_options);
    size_t n_lines = 0, n_tabs = 0;
    for (const char *c = text; *c != '\0'; c++) {
        n_lines += *c == '\n';
        n_tabs += *c == '\t';
    }
    assert_int_equal(n_lines, N_OPTIONS);
    assert_int_equal(n_tabs, N_OPTIONS * 4);
    assert_non_null(strstr(text,
                           "\nworkers\tinteger, 1 to 64\t1\tno\tThreads that answer checks; more than one "
                           "needs redis_nodes.\n"));
    assert_non_null(strstr(text, "\nquotas\tpath\t\tno\t"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_any_source_there_are_the_defaults),
        cmocka_unit_test(test_flags_win_over_variables_and_those_over_the_file),
        cmocka_unit_test(test_a_value_stands_behind_the_flag_or_an_equals_sign),
        cmocka_unit_test(test_every_mistake_names_its_source),
        cmocka_unit_test(test_an_unknown_name_gets_a_suggestion),
        cmocka_unit_test(test_a_misspelt_variable_is_warned_about_and_a_foreign_one_is_not),
        cmocka_unit_test(test_the_variable_names_a_file_unless_a_flag_does),
        cmocka_unit_test(test_an_empty_file_changes_nothing),
        cmocka_unit_test(test_a_path_in_the_file_begins_at_its_folder),
        cmocka_unit_test(test_options_that_contradict_each_other_are_refused),
        cmocka_unit_test(test_questions_are_answered_before_anything_is_read),
        cmocka_unit_test(test_help_names_every_option_within_80_columns),
        cmocka_unit_test(test_described_options_have_five_columns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
