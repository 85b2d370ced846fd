/* store.c — the words for what a store could not do; see store.h. */
#include "server/store/store.h"

const char *store_outcome_label(enum store_outcome outcome) {
    switch (outcome) {
#define STORE_OUTCOME_LABEL(name, label, text)                                                                 \
    case STORE_##name:                                                                                         \
        return label;
        STORE_OUTCOMES(STORE_OUTCOME_LABEL)
#undef STORE_OUTCOME_LABEL
    }
    return "unknown";
}

const char *store_outcome_text(enum store_outcome outcome) {
    switch (outcome) {
#define STORE_OUTCOME_TEXT(name, label, text)                                                                  \
    case STORE_##name:                                                                                         \
        return text;
        STORE_OUTCOMES(STORE_OUTCOME_TEXT)
#undef STORE_OUTCOME_TEXT
    }
    return "store: unknown outcome";
}
