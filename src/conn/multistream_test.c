#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "conn/multistream.h"

#define HEADER "\x13/multistream/1.0.0\n"

/* One end: what came in, what goes out. */
struct end {
    struct multistream ms;
    struct buf in;
    struct outq out;
    struct multistream_choice choice;
};

struct fixture {
    struct pool pool;
    struct end a, b;
};

static const char *const known[] = {"/noise", "/tls/1.0.0", "/multistream-ish/ä"};

static bool knows(void *user, const char *name, size_t name_len)
{
    if (user)
        ++*(size_t *)user;
    for (size_t i = 0; i < 3; i++) {
        if (strlen(known[i]) == name_len && memcmp(known[i], name, name_len) == 0)
            return true;
    }
    return false;
}

static bool knows_all(void *user, const char *name, size_t name_len)
{
    (void)user;
    (void)name;
    (void)name_len;
    return true;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    buf_init(&f->a.in, 65536);
    buf_init(&f->b.in, 65536);
    *state = f;
    return f ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    p2p__buf_fini(&f->a.in, &f->pool);
    p2p__buf_fini(&f->b.in, &f->pool);
    p2p__outq_fini(&f->a.out, &f->pool);
    p2p__outq_fini(&f->b.out, &f->pool);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    free(f);
    return 0;
}

static int step(struct fixture *f, struct end *end)
{
    return p2p__multistream_step(&end->ms, &f->pool, &end->in, &end->out, &end->choice);
}

static void feed(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    assert_int_equal(p2p__buf_append(&end->in, &f->pool, bytes, len), 0);
}

#define FEED(f, end, literal) feed(f, end, literal, sizeof(literal) - 1)

/* A proposal of `name` as a frame. */
static void feed_line(struct fixture *f, struct end *end, const char *name, size_t name_len)
{
    uint8_t prefix[2] = {(uint8_t)(name_len + 1), 0};
    size_t prefix_len = 1;
    if (name_len + 1 >= 128) {
        prefix[0] = (uint8_t)((name_len + 1) | 0x80);
        prefix[1] = (uint8_t)((name_len + 1) >> 7);
        prefix_len = 2;
    }
    feed(f, end, prefix, prefix_len);
    feed(f, end, name, name_len);
    feed(f, end, "\n", 1);
}

/* Takes all that is to be sent. */
static size_t drain(struct fixture *f, struct end *end, uint8_t *out, size_t cap)
{
    size_t done = 0;
    struct iov iov[8];
    size_t total;
    for (;;) {
        size_t count = p2p__outq_iov(&end->out, iov, 8, cap - done, &total);
        if (total == 0)
            return done;
        for (size_t i = 0; i < count; i++) {
            memcpy(out + done, iov[i].base, iov[i].len);
            done += iov[i].len;
        }
        outq_consume(&end->out, &f->pool, total);
    }
}

static void expect_sent(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    static uint8_t got[65536];
    assert_int_equal(drain(f, end, got, sizeof got), len);
    if (len)
        assert_memory_equal(got, bytes, len);
}

#define EXPECT_SENT(f, end, literal) expect_sent(f, end, literal, sizeof(literal) - 1)

static void move(struct fixture *f, struct end *from, struct end *to)
{
    static uint8_t bytes[65536];
    feed(f, to, bytes, drain(f, from, bytes, sizeof bytes));
}

static void dial(struct fixture *f, const char *const *protocols, size_t count)
{
    p2p__multistream_dial_init(&f->a.ms, protocols, count);
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
}

static void listen_met(struct fixture *f, size_t *calls)
{
    p2p__multistream_listen_init(&f->b.ms, knows, calls);
    FEED(f, &f->b, HEADER);
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, HEADER);
}

static void test_one_flight_each_way(void **state)
{
    struct fixture *f = *state;
    static const char *const protocols[] = {"/noise"};
    p2p__multistream_dial_init(&f->a.ms, protocols, 1);
    assert_false(multistream_optimistic(&f->a.ms));
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    assert_true(multistream_optimistic(&f->a.ms));
    EXPECT_SENT(f, &f->a, HEADER "\x07/noise\n");
    p2p__multistream_listen_init(&f->b.ms, knows, NULL);
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, HEADER); /* at once, without waiting for the dialer */
    FEED(f, &f->b,
         HEADER "\x07/noise\n"
                "early");
    assert_int_equal(step(f, &f->b), STEP_DONE);
    assert_int_equal(f->b.choice.name_len, 6);
    assert_memory_equal(f->b.choice.name, "/noise", 6);
    assert_int_equal(buf_len(&f->b.in), 5);
    assert_memory_equal(buf_data(&f->b.in), "early", 5);
    EXPECT_SENT(f, &f->b, "\x07/noise\n");
    FEED(f, &f->a,
         HEADER "\x07/noise\n"
                "later");
    assert_int_equal(step(f, &f->a), STEP_DONE);
    assert_string_equal(f->a.choice.name, "/noise");
    assert_int_equal(f->a.ms.index, 0);
    assert_memory_equal(buf_data(&f->a.in), "later", 5);
    EXPECT_SENT(f, &f->a, "");
}

static void test_second_choice(void **state)
{
    struct fixture *f = *state;
    static const char *const protocols[] = {"/quantum", "/tls/1.0.0", "/noise"};
    size_t calls = 0;
    p2p__multistream_listen_init(&f->b.ms, knows, &calls);
    dial(f, protocols, 3);
    assert_false(multistream_optimistic(&f->a.ms));
    move(f, &f->a, &f->b);
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    move(f, &f->b, &f->a);
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, "");
    move(f, &f->a, &f->b);
    assert_int_equal(step(f, &f->b), STEP_DONE);
    assert_memory_equal(f->b.choice.name, "/tls/1.0.0", f->b.choice.name_len);
    move(f, &f->b, &f->a);
    assert_int_equal(step(f, &f->a), STEP_DONE);
    assert_int_equal(f->a.ms.index, 1);
    assert_int_equal(calls, 2);
}

static void test_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    static const char script[] = HEADER "\x0a/nonsense\n"
                                        "\x07/noise\n";
    size_t calls = 0;
    p2p__multistream_listen_init(&f->b.ms, knows, &calls);
    for (size_t i = 0; i + 1 < sizeof script - 1; i++) {
        feed(f, &f->b, script + i, 1);
        assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    }
    feed(f, &f->b, script + sizeof script - 2, 1);
    assert_int_equal(step(f, &f->b), STEP_DONE);
    assert_int_equal(calls, 2); /* whole lines only */
    EXPECT_SENT(f, &f->b,
                HEADER "\x03na\n"
                       "\x07/noise\n");
}

static void test_prefix_and_case_are_not_equal(void **state)
{
    struct fixture *f = *state;
    listen_met(f, NULL);
    FEED(f, &f->b,
         "\x06/nois\n"
         "\x08/noise2\n"
         "\x07/Noise\n"
         "\x08/noise\0\n"
         "\x01\n");
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, "\x03na\n\x03na\n\x03na\n\x03na\n\x03na\n");
}

static void expect_listen_error(struct fixture *f, const void *bytes, size_t len, int code)
{
    p2p__multistream_listen_init(&f->b.ms, knows, NULL);
    feed(f, &f->b, bytes, len);
    assert_int_equal(step(f, &f->b), code);
    assert_int_equal(step(f, &f->b), code); /* and stays so */
}

static void test_S01_length_overflow(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, P2P_EPROTO);
}

static void test_S01_length_overflow_after_header(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, HEADER "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 29, P2P_EPROTO);
}

static void test_S01_endless_length(void **state)
{
    struct fixture *f = *state;
    listen_met(f, NULL);
    for (int i = 0; i < 8; i++) {
        FEED(f, &f->b, "\x80");
        assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    }
    FEED(f, &f->b, "\x80");
    assert_int_equal(step(f, &f->b), P2P_EPROTO);
}

static void test_S02_header_without_newline(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\x12/multistream/1.0.0", 19, P2P_EPROTO);
}

static void test_S02_header_with_another_byte_for_newline(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\x13/multistream/1.0.0 ", 20, P2P_EPROTO);
}

static void test_S02_zero_length_first(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\0", 1, P2P_EPROTO);
}

static void test_S02_zero_length_line(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, HEADER "\0", 21, P2P_EPROTO);
}

static void test_S02_line_without_newline(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, HEADER "\x07/noise ", 28, P2P_EPROTO);
}

static void test_S04_ls_first(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\x03ls\n", 4, P2P_EPROTO);
}

static void test_S04_other_version(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\x13/multistream/2.0.0\n", 20, P2P_EPROTO);
}

static void test_S04_noise_message_first(void **state)
{
    struct fixture *f = *state;
    expect_listen_error(f, "\x00\x20\x35", 3, P2P_EPROTO);
}

static void test_S04_proposal_first_to_dialer(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 1);
    FEED(f, &f->a, "\x07/noise\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S05_longest_line(void **state)
{
    struct fixture *f = *state;
    char line[MULTISTREAM_LINE_MAX];
    memset(line, 'x', sizeof line);
    listen_met(f, NULL);
    feed_line(f, &f->b, line, MULTISTREAM_LINE_MAX - 1);
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, "\x03na\n");
    assert_int_equal(buf_len(&f->b.in), 0);
    /* One more is refused on its prefix alone. */
    FEED(f, &f->b, "\x81\x08");
    assert_int_equal(step(f, &f->b), P2P_EPROTO);
    EXPECT_SENT(f, &f->b, "");
}

static void test_longest_name_agreed(void **state)
{
    struct fixture *f = *state;
    char name[MULTISTREAM_LINE_MAX];
    memset(name, 'x', sizeof name);
    name[MULTISTREAM_LINE_MAX - 1] = 0;
    const char *protocols[] = {name};
    p2p__multistream_listen_init(&f->b.ms, knows_all, NULL);
    dial(f, protocols, 1);
    move(f, &f->a, &f->b);
    assert_int_equal(step(f, &f->b), STEP_DONE);
    assert_int_equal(f->b.choice.name_len, MULTISTREAM_LINE_MAX - 1);
    move(f, &f->b, &f->a);
    assert_int_equal(step(f, &f->a), STEP_DONE);
}

static void test_S06_failed_proposals(void **state)
{
    struct fixture *f = *state;
    listen_met(f, NULL);
    for (int i = 0; i < MULTISTREAM_FAILED_MAX; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "/x/%d", i);
        feed_line(f, &f->b, name, (size_t)len);
        assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
        EXPECT_SENT(f, &f->b, "\x03na\n");
    }
    FEED(f, &f->b, "\x03/y\n");
    assert_int_equal(step(f, &f->b), P2P_ELIMIT);
    EXPECT_SENT(f, &f->b, "");
}

static void test_S06_last_try_succeeds(void **state)
{
    struct fixture *f = *state;
    listen_met(f, NULL);
    for (int i = 0; i < MULTISTREAM_FAILED_MAX; i++)
        FEED(f, &f->b, "\x03/y\n");
    FEED(f, &f->b, "\x07/noise\n");
    assert_int_equal(step(f, &f->b), STEP_DONE);
}

static void test_S07_replies_never_read(void **state)
{
    struct fixture *f = *state;
    static const uint8_t filler[MULTISTREAM_OUT_MAX];
    size_t calls = 0;
    listen_met(f, &calls);
    /* At the mark it still answers; behind it, it waits, and asks nobody. */
    assert_int_equal(p2p__outq_append(&f->b.out, &f->pool, filler, sizeof filler), 0);
    FEED(f, &f->b,
         "\x03/y\n"
         "\x03/z\n");
    assert_int_equal(step(f, &f->b), STEP_WANT_ROOM);
    assert_int_equal(step(f, &f->b), STEP_WANT_ROOM);
    assert_int_equal(calls, 1);
    assert_int_equal(outq_len(&f->b.out), sizeof filler + 4);
    outq_consume(&f->b.out, &f->pool, outq_len(&f->b.out));
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, "\x03na\n");
    assert_int_equal(calls, 2);
}

static void test_S07_dialer_waits_for_room(void **state)
{
    struct fixture *f = *state;
    static const uint8_t filler[MULTISTREAM_OUT_MAX + 1];
    assert_int_equal(p2p__outq_append(&f->a.out, &f->pool, filler, sizeof filler), 0);
    p2p__multistream_dial_init(&f->a.ms, known, 2);
    assert_int_equal(step(f, &f->a), STEP_WANT_ROOM);
    outq_consume(&f->a.out, &f->pool, sizeof filler);
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->a, HEADER "\x07/noise\n");
    assert_int_equal(p2p__outq_append(&f->a.out, &f->pool, filler, sizeof filler), 0);
    FEED(f, &f->a, HEADER "\x03na\n");
    assert_int_equal(step(f, &f->a), STEP_WANT_ROOM);
    outq_consume(&f->a.out, &f->pool, sizeof filler);
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->a, "\x0b/tls/1.0.0\n");
}

static void test_S07_agreement_needs_no_room(void **state)
{
    struct fixture *f = *state;
    static const uint8_t early[MULTISTREAM_OUT_MAX + 1];
    dial(f, known, 1);
    assert_int_equal(p2p__outq_append(&f->a.out, &f->pool, early, sizeof early), 0);
    FEED(f, &f->a, HEADER "\x07/noise\n");
    assert_int_equal(step(f, &f->a), STEP_DONE);
}

static void test_S09_ls_is_bounded(void **state)
{
    struct fixture *f = *state;
    listen_met(f, NULL);
    for (int i = 0; i < 10000; i++)
        FEED(f, &f->b, "\x03ls\n");
    assert_int_equal(step(f, &f->b), P2P_ELIMIT);
    assert_int_equal(outq_len(&f->b.out), 4 * MULTISTREAM_FAILED_MAX);
}

static void test_na_for_reserved_lines_even_if_supported(void **state)
{
    struct fixture *f = *state;
    p2p__multistream_listen_init(&f->b.ms, knows_all, NULL);
    FEED(f, &f->b,
         HEADER "\x03ls\n"
                "\x03na\n"
                "\x1d/libp2p/simultaneous-connect\n"
                "\x01\n");
    assert_int_equal(step(f, &f->b), STEP_WANT_INPUT);
    EXPECT_SENT(f, &f->b, HEADER "\x03na\n\x03na\n\x03na\n\x03na\n");
}

static void test_S11_echo_of_what_was_not_proposed(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, HEADER "\x11/plaintext/2.0.0\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S11_echo_of_a_later_proposal(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, HEADER "\x0b/tls/1.0.0\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S11_echo_of_a_refused_proposal(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, HEADER "\x03na\n");
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    FEED(f, &f->a, "\x07/noise\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S12_na_instead_of_header(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, "\x03na\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S12_na_to_all(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, HEADER "\x03na\n");
    assert_int_equal(step(f, &f->a), STEP_WANT_INPUT);
    FEED(f, &f->a, "\x03na\n");
    assert_int_equal(step(f, &f->a), P2P_ENOPROTO);
    assert_int_equal(step(f, &f->a), P2P_ENOPROTO);
    EXPECT_SENT(f, &f->a,
                HEADER "\x07/noise\n"
                       "\x0b/tls/1.0.0\n");
}

static void test_S12_na_before_the_proposal(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 2);
    FEED(f, &f->a, HEADER "\x03na\n\x03na\n");
    assert_int_equal(step(f, &f->a), P2P_EPROTO);
}

static void test_S12_na_to_an_optimistic_dialer(void **state)
{
    struct fixture *f = *state;
    dial(f, known, 1);
    /* The remote read our early data as another proposal. */
    FEED(f, &f->a, HEADER "\x03na\n\x03na\n");
    assert_int_equal(step(f, &f->a), P2P_ENOPROTO);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    f->pool.max_bytes = 1;
    p2p__multistream_dial_init(&f->a.ms, known, 1);
    assert_int_equal(step(f, &f->a), P2P_ENOMEM);
    assert_int_equal(outq_len(&f->a.out), 0);
    f->pool.max_bytes = 0;
    assert_int_equal(step(f, &f->a), P2P_ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_flight_each_way),
        TEST(test_second_choice),
        TEST(test_byte_by_byte),
        TEST(test_prefix_and_case_are_not_equal),
        TEST(test_S01_length_overflow),
        TEST(test_S01_length_overflow_after_header),
        TEST(test_S01_endless_length),
        TEST(test_S02_header_without_newline),
        TEST(test_S02_header_with_another_byte_for_newline),
        TEST(test_S02_zero_length_first),
        TEST(test_S02_zero_length_line),
        TEST(test_S02_line_without_newline),
        TEST(test_S04_ls_first),
        TEST(test_S04_other_version),
        TEST(test_S04_noise_message_first),
        TEST(test_S04_proposal_first_to_dialer),
        TEST(test_S05_longest_line),
        TEST(test_longest_name_agreed),
        TEST(test_S06_failed_proposals),
        TEST(test_S06_last_try_succeeds),
        TEST(test_S07_replies_never_read),
        TEST(test_S07_dialer_waits_for_room),
        TEST(test_S07_agreement_needs_no_room),
        TEST(test_S09_ls_is_bounded),
        TEST(test_na_for_reserved_lines_even_if_supported),
        TEST(test_S11_echo_of_what_was_not_proposed),
        TEST(test_S11_echo_of_a_later_proposal),
        TEST(test_S11_echo_of_a_refused_proposal),
        TEST(test_S12_na_instead_of_header),
        TEST(test_S12_na_to_all),
        TEST(test_S12_na_before_the_proposal),
        TEST(test_S12_na_to_an_optimistic_dialer),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
