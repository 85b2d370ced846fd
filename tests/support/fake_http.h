/* fake_http.h — an HTTP server that says what a test tells it to, on loopback, in a thread of its own.
 *
 * Each request takes the next reply from a queue; with the queue empty it is 500. What was heard can be read.
 * Connections are served one after the other and closed after each reply. Failures inside end the test. */
#ifndef SLUICE_TESTS_SUPPORT_FAKE_HTTP_H
#define SLUICE_TESTS_SUPPORT_FAKE_HTTP_H

#include <stdint.h>

struct fake_http;

/* Listens on a free port of 127.0.0.1. Stop ends the thread and nulls the pointer; NULL inside is fine. */
struct fake_http *fake_http_start(void);
void fake_http_stop(struct fake_http **fake);
const char *fake_http_address(const struct fake_http *fake); /* "127.0.0.1:40000" */

/* Queues an answer with this status and body; `times` times. */
void fake_http_reply(struct fake_http *fake, int status, const char *body);
void fake_http_reply_often(struct fake_http *fake, int times, int status, const char *body);
/* Queues bytes to be written as they are before the connection is closed; "" closes it without a word. */
void fake_http_reply_raw(struct fake_http *fake, const char *bytes);
/* Queues silence: the connection stays open, unanswered, until the client closes it. */
void fake_http_reply_never(struct fake_http *fake);

/* What was heard since the start or the last forget, to be freed: for each request a line
 * "METHOD TARGET", a line for each of the headers Authorization, Content-Type and If-Match that were there, and
 * the body on a line of its own when there was one. */
char *fake_http_heard(struct fake_http *fake);
void fake_http_forget(struct fake_http *fake);

#endif
