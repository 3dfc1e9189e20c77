/* cmocka with the headers that it needs before it. */
#ifndef P2P_TESTS_TEST_H
#define P2P_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
