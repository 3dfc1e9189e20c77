#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/der.h"

static bool next(const uint8_t *in, size_t len, size_t body_len)
{
    /* A copy of exactly this size, so that reading past its end is noticed. */
    uint8_t *exact = malloc(len ? len : 1);
    if (len > 0) {
        memcpy(exact, in, len);
    }
    struct p2p__der self = {exact, len};
    struct p2p__der body = {NULL, 0};
    struct p2p__der whole = {NULL, 0};
    bool ok = p2p__der_next(&self, P2P__DER_SEQUENCE, &body, &whole);
    if (ok) {
        assert_int_equal(body.left, body_len);
        assert_ptr_equal(body.at + body.left, self.at);
        assert_ptr_equal(whole.at, exact);
        assert_int_equal(whole.left + self.left, len);
    }
    free(exact);
    return ok;
}

static void test_lengths_round_trip_and_have_one_form(void **state)
{
    (void)state;
    static uint8_t in[P2P__DER_HEADER_MAX + 0x10000];
    const size_t lens[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff};
    const size_t heads[] = {2, 2, 2, 3, 3, 4, 4};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t head = p2p__der_header(P2P__DER_SEQUENCE, lens[i], in);
        assert_int_equal(head, heads[i]);
        assert_true(next(in, head + lens[i], lens[i]));
        assert_true(next(in, head + lens[i] + 1, lens[i])); /* more follows */
        for (size_t cut = 0; cut < head; cut++) {
            assert_false(next(in, cut, 0));
        }
        if (lens[i] > 0) {
            assert_false(next(in, head + lens[i] - 1, 0));
        }
    }
    static const uint8_t NOT_SHORTEST[][6] = {
        {0x30, 0x81, 0x00},
        {0x30, 0x81, 0x01, 0},
        {0x30, 0x82, 0x00, 0x01, 0},
        {0x30, 0x80, 0x00, 0x00}, /* BER's indefinite length */
        {0x30, 0x83, 0x00, 0x00, 0x01, 0},
        {0x02, 0x01, 0x00}, /* another tag */
    };
    for (size_t i = 0; i < sizeof NOT_SHORTEST / sizeof *NOT_SHORTEST; i++) {
        assert_false(next(NOT_SHORTEST[i], 6, 0));
    }
    memset(in, 0, sizeof in);
    memcpy(in, (const uint8_t[]){0x30, 0x81, 0x7f}, 3);
    assert_false(next(in, 3 + 0x7f, 0));
    memcpy(in, (const uint8_t[]){0x30, 0x82, 0x00, 0xff}, 4);
    assert_false(next(in, 4 + 0xff, 0));
}

static void test_positive_integers(void **state)
{
    (void)state;
    static const struct {
        uint8_t in[6];
        size_t len;
        size_t bits; /* SIZE_MAX: refused */
    } LIST[] = {
        {{0x02, 0x01, 0x00}, 3, SIZE_MAX}, /* not positive, by this reader's wish */
        {{0x02, 0x01, 0x01}, 3, 1},
        {{0x02, 0x01, 0x7f}, 3, 7},
        {{0x02, 0x01, 0x80}, 3, SIZE_MAX}, /* negative */
        {{0x02, 0x02, 0x00, 0x80}, 4, 8},
        {{0x02, 0x02, 0x00, 0x7f}, 4, SIZE_MAX}, /* needless zero */
        {{0x02, 0x02, 0x01, 0x00}, 4, 9},
        {{0x02, 0x01}, 2, SIZE_MAX},
        {{0x02, 0x00}, 2, SIZE_MAX},
        {{0x02, 0x03, 0x00, 0x00, 0x80}, 5, SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof LIST / sizeof *LIST; i++) {
        struct p2p__der self = {LIST[i].in, LIST[i].len};
        struct p2p__der out;
        bool ok = p2p__der_positive(&self, &out, NULL);
        assert_int_equal(ok, LIST[i].bits != SIZE_MAX);
        if (ok) {
            assert_int_equal(p2p__der_bits(&out), LIST[i].bits);
        }
    }
    assert_int_equal(p2p__der_bits(&(struct p2p__der){NULL, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_round_trip_and_have_one_form),
        cmocka_unit_test(test_positive_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
