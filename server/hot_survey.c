/* hot_survey.c — the hot keys of all workers, gathered on the main loop; see hot_survey.h. */
#include "server/hot_survey.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/list.h"

struct hot_form {
    struct hot_survey *survey;
    uint64_t round;
    size_t n_rows;
    struct hotkey rows[HOTKEYS_MAX];
};

struct hot_call {
    struct list in_calls;
    hot_survey_fn done;
    void *arg;
};

struct hot_survey {
    struct ev_loop *loop;
    ev_async answered;
    ev_timer limit;
    ev_tstamp limit_s;
    struct list calls; /* that wait */
    uint64_t round;
    bool is_under_way, is_closing;
    size_t n_silent;
    struct hotkey *rows; /* of those who have answered; of the round under way */
    size_t n_rows;
    size_t n_desks;
    struct hot_desk *desks[];
};

/* ---- the worker's end ---- */

static void desk_on_asked(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    struct hot_desk *desk = list_entry(watcher, struct hot_desk, asked);
    struct hot_form *form = atomic_exchange(&desk->blank, NULL);
    if (form == NULL) {
        return;
    }
    struct hot_survey *survey = form->survey;
    form->n_rows = hotkeys_copy(desk->hotkeys, clock_mono_us(), form->rows);
    free(atomic_exchange(&desk->filled, form));
    ev_async_send(survey->loop, &survey->answered);
}

void hot_desk_open(struct hot_desk *desk, struct ev_loop *loop, const struct hotkeys *hotkeys) {
    desk->loop = loop;
    desk->hotkeys = hotkeys;
    atomic_init(&desk->blank, NULL);
    atomic_init(&desk->filled, NULL);
    ev_async_init(&desk->asked, desk_on_asked);
    ev_async_start(loop, &desk->asked);
}

void hot_desk_close(struct hot_desk *desk) {
    ev_async_stop(desk->loop, &desk->asked);
    free(atomic_exchange(&desk->blank, NULL));
    free(atomic_exchange(&desk->filled, NULL));
}

/* ---- a round ---- */

static void end_round(struct hot_survey *survey) {
    size_t n_rows = hotkey_list_merge(survey->rows, survey->n_rows);
    struct hot_report report = {.rows = survey->rows, .n_rows = n_rows, .n_silent = survey->n_silent};
    struct hotkey *rows = survey->rows;
    struct list calls, *node;
    list_init(&calls);
    list_append_all(&calls, &survey->calls);
    ev_timer_stop(survey->loop, &survey->limit);
    survey->is_under_way = false;
    survey->rows = NULL;
    while ((node = list_pop_front(&calls)) != NULL) {
        struct hot_call *call = list_entry(node, struct hot_call, in_calls);
        call->done(call->arg, &report);
        free(call);
    }
    free(rows);
}

static void survey_on_limit(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    end_round(list_entry(watcher, struct hot_survey, limit));
}

static void take_form(struct hot_survey *survey, const struct hot_form *form) {
    if (survey->is_under_way && form->round == survey->round) {
        memcpy(survey->rows + survey->n_rows, form->rows, form->n_rows * sizeof form->rows[0]);
        survey->n_rows += form->n_rows;
        survey->n_silent--;
    }
}

static void survey_on_answered(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    struct hot_survey *survey = list_entry(watcher, struct hot_survey, answered);
    for (size_t i = 0; i < survey->n_desks; i++) {
        struct hot_form *form = atomic_exchange(&survey->desks[i]->filled, NULL);
        if (form != NULL) {
            take_form(survey, form);
            free(form);
        }
    }
    if (survey->is_under_way && survey->n_silent == 0) {
        end_round(survey);
    }
}

static bool create_forms(struct hot_survey *survey, struct hot_form **forms) {
    for (size_t i = 0; i < survey->n_desks; i++) {
        forms[i] = malloc(sizeof *forms[i]);
        if (forms[i] == NULL) {
            while (i > 0) {
                free(forms[--i]);
            }
            return false;
        }
        forms[i]->survey = survey;
        forms[i]->round = survey->round + 1;
    }
    return true;
}

static bool begin_round(struct hot_survey *survey) {
    struct hot_form **forms = calloc(survey->n_desks, sizeof *forms);
    struct hotkey *rows = calloc(survey->n_desks * HOTKEYS_MAX, sizeof *rows);
    if (forms == NULL || rows == NULL || !create_forms(survey, forms)) {
        free(rows);
        free(forms);
        return false;
    }
    survey->round++;
    survey->is_under_way = true;
    survey->rows = rows;
    survey->n_rows = 0;
    survey->n_silent = survey->n_desks;
    for (size_t i = 0; i < survey->n_desks; i++) {
        struct hot_desk *desk = survey->desks[i];
        free(atomic_exchange(&desk->blank, forms[i]));
        ev_async_send(desk->loop, &desk->asked);
    }
    free(forms);
    ev_now_update(survey->loop);
    ev_timer_set(&survey->limit, survey->limit_s, 0.);
    ev_timer_start(survey->loop, &survey->limit);
    return true;
}

/* ---- the survey ---- */

struct hot_survey *hot_survey_create(struct ev_loop *loop, struct hot_desk *const *desks, size_t n_desks,
                                     int64_t limit_us) {
    struct hot_survey *survey = calloc(1, sizeof *survey + n_desks * sizeof survey->desks[0]);
    if (survey == NULL) {
        return NULL;
    }
    survey->loop = loop;
    survey->limit_s = (ev_tstamp)limit_us / 1e6;
    survey->n_desks = n_desks;
    memcpy(survey->desks, desks, n_desks * sizeof desks[0]);
    list_init(&survey->calls);
    ev_timer_init(&survey->limit, survey_on_limit, 0., 0.);
    ev_async_init(&survey->answered, survey_on_answered);
    ev_async_start(loop, &survey->answered);
    return survey;
}

void hot_survey_destroy(struct hot_survey **handle) {
    struct hot_survey *survey = *handle;
    if (survey == NULL) {
        return;
    }
    survey->is_closing = true;
    ev_async_stop(survey->loop, &survey->answered);
    if (survey->is_under_way) {
        end_round(survey);
    }
    free(survey);
    *handle = NULL;
}

struct hot_call *hot_survey_ask(struct hot_survey *survey, hot_survey_fn done, void *arg) {
    struct hot_call *call = survey->is_closing ? NULL : malloc(sizeof *call);
    if (call == NULL || (!survey->is_under_way && !begin_round(survey))) {
        free(call);
        return NULL;
    }
    call->done = done;
    call->arg = arg;
    list_push_back(&survey->calls, &call->in_calls);
    return call;
}

void hot_survey_abandon(struct hot_call **call) {
    list_remove(&(*call)->in_calls);
    free(*call);
    *call = NULL;
}
