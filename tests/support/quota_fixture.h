/* quota_fixture.h — quotas from a text, as a quota file has it, for tests that are about something else. */
#ifndef SLUICE_TESTS_SUPPORT_QUOTA_FIXTURE_H
#define SLUICE_TESTS_SUPPORT_QUOTA_FIXTURE_H

#include "server/core/quota_set.h"

/* The caller releases it. Fails the test unless the text is good. */
struct quota_set *quota_fixture_load(const char *text);

#endif
