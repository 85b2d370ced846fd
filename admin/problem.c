/* problem.c — what is wrong with a call, as JSON; see problem.h. */
#include "admin/problem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "admin/json_bytes.h"

const char *problem_title(unsigned int status) {
    static const struct {
        unsigned int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},         {401, "Unauthorized"},           {403, "Forbidden"},
        {404, "Not Found"},           {405, "Method Not Allowed"},     {412, "Precondition Failed"},
        {413, "Content Too Large"},   {415, "Unsupported Media Type"}, {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status) {
            return titles[i].title;
        }
    }
    return "Error";
}

struct json_t *problem_create(unsigned int status, const char *field, const char *detail) {
    json_t *problem = json_pack(
        "{s:s, s:s, s:i, s:o}", "type", "about:blank", "title", problem_title(status), "status", (int)status,
        "detail", json_of_bytes((struct bytes){.data = (const uint8_t *)detail, .len = strlen(detail)}));
    if (problem != NULL && field != NULL) {
        (void)json_object_set_new(
            problem, "field",
            json_of_bytes((struct bytes){.data = (const uint8_t *)field, .len = strlen(field)}));
    }
    return problem;
}

const char *problem_split(const char *text, char field[PROBLEM_FIELD_BYTES]) {
    const char *colon = strstr(text, ": ");
    snprintf(field, PROBLEM_FIELD_BYTES, "%.*s", colon != NULL ? (int)(colon - text) : 0, text);
    return colon != NULL ? colon + 2 : text;
}
