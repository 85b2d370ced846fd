/* server_backend.h — the running frontend as the backend of the admin endpoint. */
#ifndef SLUICE_ADMIN_SERVER_BACKEND_H
#define SLUICE_ADMIN_SERVER_BACKEND_H

#include "admin/backend.h"
#include "server/server.h"

/* `server` and `version` are borrowed and must outlive it. NULL when memory is short. */
struct backend *server_backend_create(struct server *server, const char *version);
/* Frees and nulls the pointer; NULL inside is fine. */
void server_backend_destroy(struct backend **backend);

#endif
