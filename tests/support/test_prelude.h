/* test_prelude.h — what every cmocka test file includes first, in the order cmocka asks for. */
#ifndef SLUICE_TESTS_PRELUDE_H
#define SLUICE_TESTS_PRELUDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
