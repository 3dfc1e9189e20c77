/* Links on real sockets: bytes, backpressure, and every way to end. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_echo(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    assert_int_equal(p.a->in.block != NULL, 0);
    send_text(p.a, "hello");
    expect_text(&w, p.b, "hello");
    assert_false(p.b->readable);
    send_text(p.b, "world");
    expect_text(&w, p.a, "world");
    assert_quiet(&w);
    pair_close(&w, &p);
    world_close(&w);
}

static void test_ipv6_echo(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    struct io_addr at = {.family = 6, .ip = {[15] = 1}};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 one = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&one, sizeof(one)) == 0;
    close(fd);
    if (!have)
        skip();
    world_open(&w);
    pair_open(&w, &p, at);
    assert_int_equal(p.b->remote.family, 6);
    send_text(p.a, "six");
    expect_text(&w, p.b, "six");
    pair_close(&w, &p);
    world_close(&w);
}

/* in.max bounds what a fill reads; what is not filled stays in the kernel. */
static void test_fill_never_exceeds_room(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    p.b->in.max = 4;
    send_text(p.a, "abcdefghij");
    RUN_UNTIL(&w, p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 4);
    assert_true(p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 0); /* full: not a word about the kernel */
    assert_true(p.b->readable);
    buf_consume(&p.b->in, 1);
    assert_int_equal(p.b->ops->fill(p.b), 1);
    assert_memory_equal(buf_data(&p.b->in), "bcde", 4);
    p.b->in.max = 100;
    assert_int_equal(p.b->ops->fill(p.b), 5);
    assert_memory_equal(buf_data(&p.b->in), "bcdefghij", 9);
    assert_false(p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 0);
    pair_close(&w, &p);
    world_close(&w);
}

static void fill_with(struct world *w, struct link *from, struct link *to, char c, size_t n)
{
    uint8_t bytes[4096];
    memset(bytes, c, sizeof(bytes));
    struct iov iov = {bytes, n};
    size_t before = buf_len(&to->in);
    assert_int_equal(link_send(from, &iov, 1), 0);
    while (buf_len(&to->in) < before + n) {
        RUN_UNTIL(w, to->readable);
        to->ops->fill(to);
    }
}

/* An empty `in` borrows the scratch with dead bytes before it; up to IO_HEADROOM leftovers are
 * moved there, more are kept in their own block, and reading goes on behind them. */
static void test_borrow_and_settle(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    struct buf *in = &p.b->in;
    fill_with(&w, p.a, p.b, 'a', 100);
    assert_true(buf_borrowed(in));
    memset(buf_data_mut(in) - IO_HEADROOM, 0xff, IO_HEADROOM); /* ours to overwrite */
    buf_consume(in, 100 - IO_HEADROOM);
    assert_int_equal(p2p__buf_settle(in, &w.pool), 0);
    assert_false(buf_borrowed(in));
    fill_with(&w, p.a, p.b, 'b', 100);
    assert_true(buf_borrowed(in));
    assert_int_equal(w.pool.used_bytes, 0);
    assert_int_equal(buf_data(in)[IO_HEADROOM - 1], 'a');
    assert_int_equal(buf_data(in)[IO_HEADROOM], 'b');
    buf_consume(in, 100 + IO_HEADROOM - (IO_HEADROOM + 1));
    assert_int_equal(p2p__buf_settle(in, &w.pool), 0);
    fill_with(&w, p.a, p.b, 'c', 100);
    assert_false(buf_borrowed(in));
    assert_int_equal(buf_len(in), IO_HEADROOM + 101);
    assert_int_equal(buf_data(in)[IO_HEADROOM], 'b');
    assert_int_equal(buf_data(in)[IO_HEADROOM + 1], 'c');
    buf_consume(in, IO_HEADROOM + 101);
    assert_int_equal(p2p__buf_settle(in, &w.pool), 0);
    assert_int_equal(w.pool.used_bytes, 0);
    pair_close(&w, &p);
    world_close(&w);
}

/* What one link left in the scratch stays there until another one needs it. */
static void test_left_in_the_scratch(void **state)
{
    (void)state;
    struct world w;
    struct pair p, q;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    pair_open(&w, &q, localhost(0));
    fill_with(&w, p.a, p.b, 'a', 1000);
    buf_consume(&p.b->in, 10);
    assert_int_equal(link_rest(p.b), 0);
    assert_true(buf_borrowed(&p.b->in));
    assert_int_equal(w.pool.used_bytes, 0);
    fill_with(&w, q.a, q.b, 'b', 1000);
    assert_false(buf_borrowed(&p.b->in));
    assert_true(buf_borrowed(&q.b->in));
    assert_int_equal(buf_len(&p.b->in), 990);
    assert_int_equal(w.pool.copied_bytes, 990);
    for (size_t i = 0; i < 990; i++)
        assert_int_equal(buf_data(&p.b->in)[i], 'a');
    fill_with(&w, p.a, p.b, 'c', 10);
    assert_int_equal(buf_len(&p.b->in), 1000);
    assert_int_equal(buf_data(&p.b->in)[990], 'c');
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(buf_data(&q.b->in)[i], 'b');
    buf_consume(&q.b->in, 1000);
    assert_int_equal(link_rest(q.b), 0);
    assert_null(q.b->in.block);
    pair_close(&w, &p);
    pair_close(&w, &q);
    world_close(&w);
}

/* Without memory for them, the link that left them ends; the one that needed the scratch goes on.
 */
static void test_left_in_the_scratch_without_memory(void **state)
{
    (void)state;
    struct world w;
    struct pair p, q;
    struct pool none;
    p2p__pool_init(&none, 1);
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    pair_open(&w, &q, localhost(0));
    fill_with(&w, p.a, p.b, 'a', 1000);
    p.b->pool = &none;
    unsigned wakes = w.link_wakes;
    fill_with(&w, q.a, q.b, 'b', 1000);
    assert_int_equal(p.b->err, P2P_ENOMEM);
    assert_int_equal(buf_len(&p.b->in), 0);
    assert_true(w.link_wakes > wakes);
    assert_int_equal(q.b->err, 0);
    assert_int_equal(buf_data(&q.b->in)[999], 'b');
    p.b->pool = &w.pool;
    pair_close(&w, &p);
    pair_close(&w, &q);
    world_close(&w);
    p2p__pool_fini(&none);
}

/* A closed borrower has returned the scratch. */
static void test_borrower_closed(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "x");
    send_text(p.b, "y");
    RUN_UNTIL(&w, p.a->readable && p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 1);
    link_drop(p.b, false);
    p.b = NULL;
    assert_quiet(&w); /* its memory is gone */
    assert_int_equal(p.a->ops->fill(p.a), 1);
    pair_close(&w, &p);
    world_close(&w);
}

/* Filled again before it was settled, and with leftovers: they must survive the scratch's reuse. */
static void test_fill_twice_without_settling(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    for (size_t left = 1; left <= 200; left += 66) {
        world_open(&w);
        pair_open(&w, &p, localhost(0));
        fill_with(&w, p.a, p.b, 'a', 200);
        buf_consume(&p.b->in, 200 - left);
        fill_with(&w, p.a, p.b, 'b', 4096);
        assert_int_equal(buf_len(&p.b->in), left + 4096);
        for (size_t i = 0; i < left + 4096; i++)
            assert_int_equal(buf_data(&p.b->in)[i], i < left ? 'a' : 'b');
        pair_close(&w, &p);
        world_close(&w);
    }
}

/* The rest of a cut record is read where its beginning lies, in the scratch or in a block of its
 * own, and not a byte more, so that the next fill borrows again. */
static void cut_record(bool settled)
{
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    struct buf *in = &p.b->in;
    fill_with(&w, p.a, p.b, 'a', 1000);
    if (settled)
        assert_int_equal(p2p__buf_settle(in, &w.pool), 0);
    const uint8_t *beginning = buf_data(in);
    uint64_t copied = w.pool.copied_bytes;
    uint8_t bytes[600];
    memset(bytes, 'b', sizeof(bytes));
    struct iov iov = {bytes, sizeof(bytes)};
    assert_int_equal(link_send(p.a, &iov, 1), 0);
    p.b->need = 500;
    RUN_UNTIL(&w, p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 500);
    assert_int_equal(buf_borrowed(in), !settled);
    assert_int_equal(buf_len(in), 1500);
    assert_ptr_equal(buf_data(in), beginning);
    assert_int_equal(w.pool.copied_bytes, copied);
    assert_int_equal(buf_data(in)[1499], 'b');
    buf_consume(in, 1500);
    p.b->need = 0;
    assert_int_equal(p.b->ops->fill(p.b), 100);
    assert_true(buf_borrowed(in));
    buf_consume(in, 100);
    pair_close(&w, &p);
    world_close(&w);
}

static void test_cut_record(void **state)
{
    (void)state;
    cut_record(false);
    cut_record(true);
}

/* The owner's owner still uses what was lent, and what follows comes right behind it. */
static void test_reading_behind_what_is_lent(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    struct buf *in = &p.b->in;
    fill_with(&w, p.a, p.b, 'a', 1000);
    const uint8_t *lent = buf_data(in);
    buf_consume(in, 1000);
    uint8_t bytes[600];
    memset(bytes, 'b', sizeof(bytes));
    struct iov iov = {bytes, sizeof(bytes)};
    assert_int_equal(link_send(p.a, &iov, 1), 0);
    RUN_UNTIL(&w, p.b->readable);
    p.b->need = 500;
    assert_true(p.b->ops->fills_behind(p.b));
    p.b->behind = true;
    assert_int_equal(p.b->ops->fill(p.b), 500);
    assert_false(p.b->behind);
    assert_ptr_equal(buf_data(in), lent + 1000);
    assert_int_equal(buf_len(in), 500);
    for (size_t i = 0; i < 1500; i++)
        assert_int_equal(lent[i], i < 1000 ? 'a' : 'b');
    buf_consume(in, 500);
    p.b->need = IO_FILL_MAX + 1;
    assert_false(p.b->ops->fills_behind(p.b)); /* more than a fill may bring */
    p.b->need = 100;
    assert_int_equal(p2p__buf_settle(in, &w.pool), 0);
    assert_false(p.b->ops->fills_behind(p.b)); /* nothing is lent any more */
    assert_int_equal(p.b->ops->fill(p.b), 100);
    assert_ptr_equal(buf_data(in), lent);
    buf_consume(in, 100);
    pair_close(&w, &p);
    world_close(&w);
}

/* A fill as long as they get, cutting the longest record after its first byte: its rest still fits
 * behind. */
static void test_cut_record_of_full_length(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    struct buf *in = &p.b->in;
    in->max = 2 * IO_FILL_MAX;
    uint8_t *bytes = calloc(2, IO_FILL_MAX);
    struct iov iov = {bytes, 2 * IO_FILL_MAX};
    assert_int_equal(link_send(p.a, &iov, 1), 0);
    size_t read = 0;
    while (read < IO_FILL_MAX) {
        p.a->ops->flush(p.a);
        RUN_UNTIL(&w, p.b->readable);
        p.b->need = (uint32_t)(IO_FILL_MAX - read); /* until a fill has brought all it can */
        read += p.b->ops->fill(p.b);
    }
    assert_int_equal(buf_len(in), IO_FILL_MAX);
    buf_consume(in, IO_FILL_MAX - IO_HEADROOM - 1);
    uint64_t copied = w.pool.copied_bytes;
    for (size_t rest = IO_RECORD_MAX - IO_HEADROOM - 1; rest;) {
        p.a->ops->flush(p.a);
        RUN_UNTIL(&w, p.b->readable);
        p.b->need = (uint32_t)rest;
        rest -= p.b->ops->fill(p.b);
    }
    assert_int_equal(buf_len(in), IO_RECORD_MAX);
    assert_int_equal(w.pool.copied_bytes, copied);
    assert_true(buf_borrowed(in));
    buf_consume(in, IO_RECORD_MAX);
    free(bytes);
    pair_close(&w, &p);
    world_close(&w);
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

/* 16 MiB through `in` of two records, parsed in pieces that never fit a read: every way to fill. */
static void test_bulk_in_pieces(void **state)
{
    (void)state;
    static const size_t total = 16 << 20;
    static const size_t pieces[] = {65537, 1, 40000, 131074, 63, 64, 65};
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    uint8_t *bytes = malloc(100000);
    size_t sent = 0, got = 0, piece = 0;
    while (got < total) {
        while (sent < total && p.a->writable && outq_len(&p.a->out) == 0) {
            size_t n = total - sent < 100000 ? total - sent : 100000;
            for (size_t i = 0; i < n; i++)
                bytes[i] = pattern(sent + i);
            struct iov iov[3] = {{bytes, n / 3}, {bytes + n / 3, 0}, {bytes + n / 3, n - n / 3}};
            assert_int_equal(link_send(p.a, iov, 3), 0);
            sent += n;
        }
        p.a->ops->flush(p.a);
        if (p.b->readable)
            p.b->ops->fill(p.b);
        else
            uv_run(&w.loop, UV_RUN_ONCE);
        size_t want = pieces[piece % 7];
        while (buf_len(&p.b->in) >= want || (got + buf_len(&p.b->in) == total && got < total)) {
            size_t n = buf_len(&p.b->in) < want ? buf_len(&p.b->in) : want;
            for (size_t i = 0; i < n; i += 61)
                assert_int_equal(buf_data(&p.b->in)[i], pattern(got + i));
            buf_consume(&p.b->in, n);
            got += n;
            want = pieces[++piece % 7];
        }
        assert_int_equal(p2p__buf_settle(&p.b->in, &w.pool), 0);
    }
    assert_int_equal(p.a->err | p.b->err, 0);
    free(bytes);
    pair_close(&w, &p);
    world_close(&w);
}

/* More pieces than one sendmsg takes. */
static void test_write_many_iovs(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    uint8_t bytes[200];
    struct iov iov[200];
    for (size_t i = 0; i < 200; i++) {
        bytes[i] = (uint8_t)i;
        iov[i] = (struct iov){bytes + i, 1};
    }
    assert_int_equal(p.a->ops->write(p.a, iov, 200), 200);
    while (buf_len(&p.b->in) < 200) {
        RUN_UNTIL(&w, p.b->readable);
        p.b->ops->fill(p.b);
    }
    assert_memory_equal(buf_data(&p.b->in), bytes, 200);
    pair_close(&w, &p);
    world_close(&w);
}

static void stuff(struct link *link)
{
    static const uint8_t zeros[65536];
    struct iov iov = {(uint8_t *)(uintptr_t)zeros, sizeof(zeros)};
    for (int i = 0; i < 4096 && link->writable; i++)
        assert_int_equal(link_send(link, &iov, 1), 0);
    assert_false(link->writable);
    assert_true(outq_len(&link->out) > 0);
}

/* Not filling stops the sender, and nobody spins; filling starts it again. */
static void test_backpressure(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    stuff(p.a);
    for (int i = 0; i < 64; i++) { /* until both of the kernel's buffers are full */
        assert_quiet(&w);
        p.a->ops->flush(p.a);
        if (p.a->writable)
            stuff(p.a);
    }
    assert_quiet(&w);
    assert_false(p.a->writable);
    assert_true(p.b->readable);
    unsigned wakes = w.link_wakes;
    assert_quiet(&w);
    assert_int_equal(w.link_wakes, wakes);
    while (outq_len(&p.a->out) > 0) {
        if (p.b->readable)
            p.b->ops->fill(p.b);
        else
            uv_run(&w.loop, UV_RUN_ONCE);
        buf_consume(&p.b->in, buf_len(&p.b->in));
        p.a->ops->flush(p.a);
    }
    while (p.b->readable || !p.a->writable) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        p.b->ops->fill(p.b);
        buf_consume(&p.b->in, buf_len(&p.b->in));
    }
    assert_quiet(&w); /* being writable is not reported for ever either */
    pair_close(&w, &p);
    world_close(&w);
}

static void test_half_close(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "last");
    p.a->ops->shutdown(p.a);
    expect_text(&w, p.b, "last");
    RUN_UNTIL(&w, p.b->readable);
    assert_false(p.b->eof);
    assert_int_equal(p.b->ops->fill(p.b), 0);
    assert_true(p.b->eof);
    assert_false(p.b->readable);
    assert_int_equal(p.b->err, 0);
    unsigned wakes = w.link_wakes;
    assert_quiet(&w); /* an end is reported once */
    assert_int_equal(w.link_wakes, wakes);
    send_text(p.b, "still");
    expect_text(&w, p.a, "still");
    p.b->ops->shutdown(p.b);
    RUN_UNTIL(&w, p.a->readable);
    assert_int_equal(p.a->ops->fill(p.a), 0);
    assert_true(p.a->eof);
    assert_quiet(&w);
    pair_close(&w, &p);
    world_close(&w);
}

/* The end of an unread link is not reported for ever either. */
static void test_end_while_not_reading(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "unread");
    RUN_UNTIL(&w, p.b->readable);
    p.a->ops->shutdown(p.a);
    assert_quiet(&w);
    assert_quiet(&w);
    expect_text(&w, p.b, "unread");
    RUN_UNTIL(&w, p.b->readable);
    p.b->ops->fill(p.b);
    assert_true(p.b->eof);
    pair_close(&w, &p);
    world_close(&w);
}

static void test_reset(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    link_drop(p.a, true);
    p.a = NULL;
    RUN_UNTIL(&w, p.b->err);
    assert_int_equal(p.b->err, P2P_ECONN);
    assert_int_equal(p.b->sys_errno, ECONNRESET);
    assert_false(p.b->writable || p.b->eof);
    assert_int_equal(p.b->ops->fill(p.b), 0);
    assert_false(p.b->readable || p.b->eof);
    assert_quiet(&w);
    pair_close(&w, &p);
    world_close(&w);
}

/* The owner does not read, and what it is watched for has long been cut down. Still err comes, and
 * what had arrived can be read. */
static void test_reset_while_not_reading(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "unread");
    RUN_UNTIL(&w, p.b->readable);
    assert_quiet(&w);
    unsigned wakes = w.link_wakes;
    link_drop(p.a, true);
    p.a = NULL;
    RUN_UNTIL(&w, p.b->err);
    assert_int_equal(w.link_wakes, wakes + 1);
    assert_int_equal(p.b->sys_errno, ECONNRESET);
    assert_quiet(&w);
    assert_true(p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 6);
    assert_true(p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 0);
    assert_false(p.b->readable || p.b->eof);
    pair_close(&w, &p);
    world_close(&w);
}

/* Writing to a peer that is gone: no signal (its default would end this process), an error. */
static void test_O03_write_after_reset(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    link_drop(p.a, true);
    p.a = NULL;
    send_text(p.b, "x");
    assert_int_equal(p.b->err, P2P_ECONN);
    assert_int_equal(p.b->sys_errno, ECONNRESET);
    assert_false(p.b->writable);
    send_text(p.b, "x"); /* is kept */
    p.b->ops->flush(p.b);
    assert_int_equal(outq_len(&p.b->out), 2);
    assert_quiet(&w);
    pair_close(&w, &p);

    pair_open(&w, &p, localhost(0));
    p.a->ops->shutdown(p.a); /* an end, then a reset: this is what brings the signal */
    RUN_UNTIL(&w, p.b->readable);
    link_drop(p.a, true);
    p.a = NULL;
    send_text(p.b, "x");
    assert_int_equal(p.b->err, P2P_ECONN);
    assert_int_equal(p.b->sys_errno, EPIPE);
    pair_close(&w, &p);
    world_close(&w);
}

/* What the kernel took is delivered, even when the closing side leaves bytes unread. */
static void test_close_delivers(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.b, "never read");
    RUN_UNTIL(&w, p.a->readable);
    send_text(p.a, "farewell");
    link_drop(p.a, false);
    p.a = NULL;
    expect_text(&w, p.b, "farewell");
    RUN_UNTIL(&w, p.b->readable);
    assert_int_equal(p.b->ops->fill(p.b), 0);
    assert_true(p.b->eof);
    assert_int_equal(p.b->err, 0);
    pair_close(&w, &p);
    world_close(&w);
}

static void close_it(struct link *link)
{
    struct world *w = link->owner;
    w->link_wakes++;
    link_drop(link, false);
}

/* No wake after close, also when it happens in the wake, with another event pending. */
static void test_close_within_wake(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    p.b->wake = close_it;
    w.link_wakes = 0;
    send_text(p.a, "x");
    p.a->ops->shutdown(p.a);
    RUN_UNTIL(&w, w.link_wakes == 1);
    p.b = NULL;
    link_drop(p.a, false);
    p.a = NULL;
    assert_quiet(&w);
    assert_int_equal(w.link_wakes, 1);
    pair_close(&w, &p);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_ipv6_echo),
        cmocka_unit_test(test_fill_never_exceeds_room),
        cmocka_unit_test(test_borrow_and_settle),
        cmocka_unit_test(test_left_in_the_scratch),
        cmocka_unit_test(test_left_in_the_scratch_without_memory),
        cmocka_unit_test(test_borrower_closed),
        cmocka_unit_test(test_fill_twice_without_settling),
        cmocka_unit_test(test_cut_record),
        cmocka_unit_test(test_cut_record_of_full_length),
        cmocka_unit_test(test_reading_behind_what_is_lent),
        cmocka_unit_test(test_bulk_in_pieces),
        cmocka_unit_test(test_write_many_iovs),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_end_while_not_reading),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_while_not_reading),
        cmocka_unit_test(test_O03_write_after_reset),
        cmocka_unit_test(test_close_delivers),
        cmocka_unit_test(test_close_within_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
