/* secret.h — a password from a file of its own, so that it stands on no command line and in no log.
 *
 * Any thread. What is returned is the caller's, to be given back with secret_destroy. */
#ifndef SLUICE_BASE_SECRET_H
#define SLUICE_BASE_SECRET_H

#include "server/base/status.h"

enum { SECRET_MAX_BYTES = 512 };

/* The file's one line, without its end. NULL with a reason, which never shows what is in it: no such file, nothing
 * in it, more than a line or SECRET_MAX_BYTES, a NUL, or no memory. */
char *secret_read(const char *path, struct status *status);
/* Wipes and frees, nulls the pointer; NULL inside is fine. */
void secret_destroy(char **secret);

#endif
