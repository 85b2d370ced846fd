/* hot_survey.h — the hot keys of all workers, gathered on the main loop without a lock.
 *
 *   hot_survey_ask ─> a form on each worker's desk ── its loop wakes ──> it copies its table into the form
 *        done <───── merged, when all are back or time is up <── the main loop wakes ─┘
 *
 * A form has one owner at a time: the survey, the desk it lies on, or the worker that fills it in. A worker that
 * hangs finds it when it comes round; what it hands in then is dropped. Who asks while a survey is under way gets
 * the result of that one.
 *
 * The desk is the worker's end: opened and closed when the worker's thread does not run. Everything else is called
 * on the main thread. */
#ifndef SLUICE_SERVER_HOT_SURVEY_H
#define SLUICE_SERVER_HOT_SURVEY_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/hotkeys.h"

enum { HOT_SURVEY_LIMIT_US = 250000 };

struct hot_form;

struct hot_desk {
    struct ev_loop *loop; /* the worker's */
    const struct hotkeys *hotkeys;
    ev_async asked;
    _Atomic(struct hot_form *) blank, filled; /* NULL: none lies there */
};

/* Borrows both. */
void hot_desk_open(struct hot_desk *desk, struct ev_loop *loop, const struct hotkeys *hotkeys);
void hot_desk_close(struct hot_desk *desk);

struct hot_survey;
struct hot_call;

struct hot_report {
    const struct hotkey *rows; /* the most checked first; borrowed until the callback returns */
    size_t n_rows;
    size_t n_silent; /* workers that did not answer in time: their checks are missing */
};
typedef void (*hot_survey_fn)(void *arg, const struct hot_report *report);

/* Borrows all; the desks must be open whenever somebody asks or the loop turns. `limit_us` is how long workers may
 * take. NULL when memory is short. */
struct hot_survey *hot_survey_create(struct ev_loop *loop, struct hot_desk *const *desks, size_t n_desks,
                                     int64_t limit_us);
/* No worker runs any more; the desks may be closed. Those who still wait are called back with what has arrived. Nulls
 * the pointer, at the end. */
void hot_survey_destroy(struct hot_survey **survey);

/* `done` is called exactly once, later. NULL when memory is short, or when the survey is being destroyed; then it is
 * never called. */
struct hot_call *hot_survey_ask(struct hot_survey *survey, hot_survey_fn done, void *arg);
/* Of a call whose `done` has not been called: it never is. Nulls the pointer. */
void hot_survey_abandon(struct hot_call **call);

#endif
