/* store.c — the words for what a store could not do; see store.h. */
#include "server/store/store.h"

const char *store_outcome_text(enum store_outcome outcome) {
    switch (outcome) {
#define STORE_OUTCOME_TEXT(name, field, may_have_charged, text)                                                \
    case STORE_##name:                                                                                         \
        return text;
        STORE_OUTCOMES(STORE_OUTCOME_TEXT)
#undef STORE_OUTCOME_TEXT
    }
    return "store: unknown outcome";
}

bool store_outcome_may_have_charged(enum store_outcome outcome) {
#define STORE_OUTCOME_CHARGED(name, field, may_have_charged, text) [STORE_##name] = may_have_charged,
    static const bool may_have_charged_by_outcome[] = {STORE_OUTCOMES(STORE_OUTCOME_CHARGED)};
#undef STORE_OUTCOME_CHARGED
    return may_have_charged_by_outcome[outcome];
}
