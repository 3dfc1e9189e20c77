/* cmocka with the headers that it needs before it. */
#ifndef P2P_TESTS_TEST_H
#define P2P_TESTS_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* libuv's headers need more than strict C11 shows */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
