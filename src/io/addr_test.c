#include "tests/test.h"

#include <string.h>

#include "io/io.h"

static struct io_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct io_addr){.family = 4, .port = port, .ip = {a, b, c, d}};
}

static void test_addr_helpers(void **state)
{
    (void)state;
    struct io_addr a = ip4(127, 0, 0, 1, 1), b = ip4(127, 0, 0, 1, 1);
    b.scope = 7; /* means nothing in IPv4 */
    b.ip[4] = 1;
    assert_true(p2p__io_addr_equal(&a, &b));
    b.ip[3] = 2;
    assert_false(p2p__io_addr_equal(&a, &b));
    b = ip4(127, 0, 0, 1, 2);
    assert_false(p2p__io_addr_equal(&a, &b));
    assert_true(p2p__io_addr_is_loopback(&a));
    b = ip4(126, 255, 255, 255, 0);
    assert_false(p2p__io_addr_is_loopback(&b));
    b = ip4(0, 0, 0, 0, 5);
    assert_true(p2p__io_addr_is_any(&b));
    b = ip4(0, 0, 0, 1, 5);
    assert_false(p2p__io_addr_is_any(&b));
    struct io_addr six = {.family = 6, .ip = {[15] = 1}}, six2 = six;
    assert_true(p2p__io_addr_is_loopback(&six));
    assert_false(p2p__io_addr_equal(&six, &a));
    six2.scope = 3;
    assert_false(p2p__io_addr_equal(&six, &six2));
    six.ip[15] = 0;
    assert_true(p2p__io_addr_is_any(&six));
    assert_false(p2p__io_addr_is_loopback(&six));
    struct io_addr mapped = {.family = 6, .ip = {[10] = 0xff, 0xff, 127, 9, 9, 9}};
    assert_true(p2p__io_addr_is_loopback(&mapped));
    assert_false(p2p__io_addr_is_any(&mapped));
    memset(mapped.ip + 12, 0, 4);
    assert_true(p2p__io_addr_is_any(&mapped));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
