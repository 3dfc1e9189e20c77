/* Links and listeners on real sockets. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p2p/mem.h>

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

static uint16_t free_port(struct world *w)
{
    struct io_listener *listener = listen_at(w, localhost(0));
    uint16_t port = listener->local.port;
    w->io->ops->unlisten(listener);
    return port;
}

static void test_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct link *link = dial(&w, localhost(free_port(&w)));
    RUN_UNTIL(&w, link->err);
    assert_int_equal(link->err, P2P_ECONN);
    assert_int_equal(link->sys_errno, ECONNREFUSED);
    assert_false(link->connected || link->readable || link->writable);
    assert_int_equal(w.link_wakes, 1);
    assert_int_equal(link->ops->fill(link), 0);
    assert_quiet(&w);
    link_drop(link, false);
    world_close(&w);
}

static int try_dial(struct world *w, struct io_addr to, const struct io_addr *from, unsigned flags,
                    struct link **out, int *sys_errno)
{
    *out = NULL;
    return w->io->ops->dial(w->io, &to, from, flags, &w->pool, out, sys_errno);
}

static void test_dial_fails_at_once(void **state)
{
    (void)state;
    struct world w;
    struct link *link;
    int sys_errno;
    world_open(&w);
    /* A v4-mapped address would get around rules about IPv4. */
    struct io_addr mapped = {.family = 6, .port = 1, .ip = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
    assert_int_equal(try_dial(&w, mapped, NULL, 0, &link, &sys_errno), P2P_ECONN);
    assert_int_not_equal(sys_errno, 0);
    /* 192.0.2.1 is nobody's (RFC 5737), so not ours to dial from. */
    struct io_addr from = ip4(192, 0, 2, 1, 0);
    assert_int_equal(try_dial(&w, localhost(9), &from, 0, &link, &sys_errno), P2P_ECONN);
    assert_int_equal(sys_errno, EADDRNOTAVAIL);
    /* A link-local address without its interface. */
    struct io_addr unscoped = {.family = 6, .port = 9, .ip = {0xfe, 0x80, [15] = 9}};
    assert_int_equal(try_dial(&w, unscoped, NULL, 0, &link, &sys_errno), P2P_ECONN);
    assert_int_not_equal(sys_errno, 0);
    assert_null(link);
    world_close(&w);
}

/* A dial whose source is its target connects to itself: that is nobody. */
static void test_dial_meets_itself(void **state)
{
    (void)state;
    struct world w;
    struct link *link;
    int sys_errno;
    world_open(&w);
    struct io_addr self = localhost(free_port(&w));
    assert_int_equal(try_dial(&w, self, &self, IO_DIAL_REUSE_PORT, &link, &sys_errno), 0);
    adopt(&w, link);
    RUN_UNTIL(&w, link->err);
    assert_false(link->connected);
    assert_int_equal(link->sys_errno, ECONNREFUSED);
    link_drop(link, true);
    world_close(&w);
}

static void test_O04_link_local(void **state)
{
    (void)state;
    struct world w;
    struct io_interface all[64];
    world_open(&w);
    int count = w.io->ops->interfaces(w.io, all, 64);
    const struct io_interface *found = NULL;
    for (int i = 0; i < count && i < 64; i++)
        if (all[i].up && all[i].addr.family == 6 && all[i].addr.ip[0] == 0xfe &&
            all[i].addr.ip[1] == 0x80)
            found = &all[i];
    if (!found) {
        world_close(&w);
        skip();
    }
    assert_int_equal(found->addr.scope, if_nametoindex(found->name));
    struct pair p;
    pair_open(&w, &p, found->addr);
    assert_int_equal(p.a->remote.scope, found->addr.scope);
    pair_close(&w, &p);
    world_close(&w);
}

static void test_interfaces(void **state)
{
    (void)state;
    struct world w;
    struct io_interface all[64], one[1];
    world_open(&w);
    int count = w.io->ops->interfaces(w.io, all, 64);
    assert_true(count >= 1);
    bool loopback = false;
    for (int i = 0; i < count && i < 64; i++) {
        assert_int_equal(all[i].addr.port, 0);
        assert_true(strlen(all[i].name) > 0);
        if (all[i].loopback && all[i].addr.family == 4)
            loopback = all[i].up && p2p__io_addr_is_loopback(&all[i].addr);
    }
    assert_true(loopback);
    assert_int_equal(w.io->ops->interfaces(w.io, one, 1), count);
    assert_int_equal(w.io->ops->interfaces(w.io, NULL, 0), count);
    world_close(&w);
}

/* listening */

static int try_listen(struct world *w, struct io_addr at, int *sys_errno)
{
    struct io_listener *listener = NULL;
    int code = w->io->ops->listen(w->io, &at, &listener, sys_errno);
    if (code == 0)
        w->io->ops->unlisten(listener);
    return code;
}

/* In this process, in another one, and beside other software that shares ports. */
static void test_O04_port_in_use(void **state)
{
    (void)state;
    struct world w, other;
    int sys_errno;
    world_open(&w);
    world_open(&other);
    struct io_listener *listener = listen_at(&w, localhost(0));
    assert_int_equal(try_listen(&other, listener->local, &sys_errno), P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRINUSE);
    struct io_addr any = ip4(0, 0, 0, 0, listener->local.port);
    assert_int_equal(try_listen(&other, any, &sys_errno), P2P_ELISTEN);

    pid_t child = fork();
    if (child == 0) {
        struct world third;
        world_open(&third);
        int code = try_listen(&third, listener->local, &sys_errno);
        _exit(code == P2P_ELISTEN && sys_errno == EADDRINUSE ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    w.io->ops->unlisten(listener);

    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    assert_int_equal(try_listen(&w, localhost(ntohs(at.sin_port)), &sys_errno), P2P_ELISTEN);
    close(fd);
    world_close(&other);
    world_close(&w);
}

/* Dialing from the listener's port works, to several remotes, and leaves "in use" an error. */
static void test_dial_from_listening_port(void **state)
{
    (void)state;
    struct world w;
    struct link *link[3] = {NULL};
    int sys_errno;
    world_open(&w);
    struct io_listener *mine = listen_at(&w, localhost(0));
    struct io_listener *theirs[2] = {listen_at(&w, localhost(0)), listen_at(&w, localhost(0))};
    struct link *in[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            try_dial(&w, theirs[i]->local, &mine->local, IO_DIAL_REUSE_PORT, &link[i], &sys_errno),
            0);
        adopt(&w, link[i]);
        in[i] = accept_one(&w, theirs[i]);
        assert_true(p2p__io_addr_equal(&in[i]->remote, &mine->local));
        assert_int_equal(try_listen(&w, mine->local, &sys_errno), P2P_ELISTEN);
        assert_int_equal(sys_errno, EADDRINUSE);
    }
    /* The same two ends once more: the caller may try again from another port. */
    assert_int_equal(
        try_dial(&w, theirs[0]->local, &mine->local, IO_DIAL_REUSE_PORT, &link[2], &sys_errno),
        P2P_ECONN);
    assert_true(sys_errno == EADDRNOTAVAIL || sys_errno == EADDRINUSE);
    /* The listener still gets what comes to its port, and a dial without the flag cannot bind. */
    assert_int_equal(try_dial(&w, theirs[0]->local, &mine->local, 0, &link[2], &sys_errno),
                     P2P_ECONN);
    assert_int_equal(sys_errno, EADDRINUSE);
    link[2] = dial(&w, mine->local);
    struct link *back = accept_one(&w, mine);

    /* A restart while connections from the port live, and then rest in TIME_WAIT. */
    struct io_addr local = mine->local;
    w.io->ops->unlisten(mine);
    mine = listen_at(&w, local);
    for (int i = 0; i < 2; i++) {
        link_drop(link[i], false);
        link_drop(in[i], false);
    }
    link_drop(back, false);
    link_drop(link[2], false);
    w.io->ops->unlisten(mine);
    mine = listen_at(&w, local);
    w.io->ops->unlisten(mine);
    w.io->ops->unlisten(theirs[0]);
    w.io->ops->unlisten(theirs[1]);
    world_close(&w);
}

/* Dual stack is two listeners on one port; the IPv6 one never sees IPv4. */
static void test_O04_any_address_of_both_families(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct io_addr any = {.family = 6};
    struct io_listener *six = NULL, *four;
    int sys_errno;
    if (w.io->ops->listen(w.io, &any, &six, &sys_errno) != 0) {
        world_close(&w);
        skip();
    }
    six->owner = &w;
    six->wake = on_listener_wake;
    struct link *refused = dial(&w, localhost(six->local.port));
    RUN_UNTIL(&w, refused->err);
    assert_int_equal(refused->sys_errno, ECONNREFUSED);
    four = listen_at(&w, ip4(0, 0, 0, 0, six->local.port));
    struct link *link = dial(&w, localhost(four->local.port));
    struct link *in = accept_one(&w, four);
    assert_int_equal(in->remote.family, 4);
    assert_false(six->acceptable);
    link_drop(refused, false);
    link_drop(link, false);
    link_drop(in, false);
    w.io->ops->unlisten(six);
    w.io->ops->unlisten(four);
    world_close(&w);
}

static int option(int level, int name)
{
    /* The newest descriptor is the link's. */
    int fd = dup(0), value = 0;
    socklen_t len = sizeof(value);
    close(fd);
    assert_int_equal(getsockopt(fd - 1, level, name, &value, &len), 0);
    return value;
}

static void test_socket_options(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct io_listener *listener = listen_at(&w, localhost(0));
    struct link *a = dial(&w, listener->local);
    assert_int_not_equal(option(IPPROTO_TCP, TCP_NODELAY), 0);
    struct link *b = accept_one(&w, listener);
    assert_int_not_equal(option(IPPROTO_TCP, TCP_NODELAY), 0);
    int fd = dup(0);
    close(fd);
    assert_true(fcntl(fd - 1, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd - 1, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd - 2, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd - 2, F_GETFL) & O_NONBLOCK);
    link_drop(a, false);
    link_drop(b, false);
    w.io->ops->unlisten(listener);
    world_close(&w);
}

static void test_accept_none(void **state)
{
    (void)state;
    struct world w;
    struct link *link = NULL;
    int sys_errno;
    world_open(&w);
    struct io_listener *listener = listen_at(&w, localhost(0));
    assert_int_equal(w.io->ops->accept(listener, &w.pool, &link, &sys_errno), P2P_EAGAIN);
    assert_null(link);
    /* An owner at its limits leaves them waiting, without a spin. */
    struct link *a = dial(&w, listener->local);
    RUN_UNTIL(&w, listener->acceptable);
    assert_quiet(&w);
    assert_int_equal(w.listener_wakes, 1);
    struct link *b = accept_one(&w, listener);
    assert_true(listener->acceptable);
    assert_int_equal(w.io->ops->accept(listener, &w.pool, &link, &sys_errno), P2P_EAGAIN);
    assert_false(listener->acceptable);
    struct link *c = dial(&w, listener->local);
    struct link *d = accept_one(&w, listener);
    assert_int_equal(w.listener_wakes, 2);
    link_drop(a, false);
    link_drop(b, false);
    link_drop(c, false);
    link_drop(d, false);
    w.io->ops->unlisten(listener);
    world_close(&w);
}

static void limit_descriptors(struct rlimit *before)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    int next = dup(0);
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void test_X01_out_of_descriptors(void **state)
{
    (void)state;
    struct world w;
    struct rlimit before;
    struct link *link = NULL;
    int sys_errno = 0;
    world_open(&w);
    struct io_listener *listener = listen_at(&w, localhost(0));
    struct link *a = dial(&w, listener->local);
    RUN_UNTIL(&w, a->connected && listener->acceptable);
    limit_descriptors(&before);
    assert_int_equal(w.io->ops->accept(listener, &w.pool, &link, &sys_errno), P2P_ELIMIT);
    assert_int_equal(sys_errno, EMFILE);
    assert_false(listener->acceptable);
    assert_quiet(&w); /* the connection still waits, and is not reported */
    assert_int_equal(w.listener_wakes, 1);
    struct link *none = NULL;
    assert_int_equal(try_dial(&w, listener->local, NULL, 0, &none, &sys_errno), P2P_ELIMIT);
    assert_int_equal(sys_errno, EMFILE);
    assert_int_equal(try_listen(&w, localhost(0), &sys_errno), P2P_ELIMIT);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_quiet(&w);
    assert_int_equal(w.io->ops->accept(listener, &w.pool, &link, &sys_errno), P2P_EAGAIN);
    w.io->ops->resume(listener);
    struct link *b = accept_one(&w, listener);
    send_text(a, "at last");
    expect_text(&w, b, "at last");
    link_drop(a, false);
    link_drop(b, false);
    w.io->ops->unlisten(listener);
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

/* The n-th allocation fails, for every n. */

static int allocations_left = -1;

static void *scarce_realloc(void *old, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return realloc(old, size);
}

static void *scarce_malloc(size_t size)
{
    return scarce_realloc(NULL, size);
}

static void serve_one(struct world *w, struct io_listener *listener, struct link *a)
{
    struct link *b = NULL;
    int sys_errno;
    RUN_UNTIL(w, listener->acceptable && a->connected);
    if (w->io->ops->accept(listener, &w->pool, &b, &sys_errno) != 0) {
        assert_int_equal(sys_errno, ENOMEM);
        assert_quiet(w);
        w->io->ops->resume(listener);
        return;
    }
    adopt(w, b);
    for (int i = 0; i < 2 && !b->err; i++) { /* the second read joins what was left and settled */
        uint8_t bytes[100] = {0};
        struct iov iov = {bytes, sizeof(bytes)};
        if (link_send(a, &iov, 1) == 0)
            RUN_UNTIL(w, b->readable);
        if (b->ops->fill(b) == 0)
            assert_int_equal(b->err, P2P_ENOMEM);
        p2p__buf_settle(&b->in, &w->pool);
    }
    assert_quiet(w);
    link_drop(b, false);
}

static void out_of_memory_flow(struct world *w)
{
    struct io_listener *listener = NULL;
    struct link *a = NULL;
    int sys_errno;
    struct io_addr at = localhost(0);
    if (w->io->ops->listen(w->io, &at, &listener, &sys_errno) != 0) {
        assert_int_equal(sys_errno, ENOMEM);
        return;
    }
    listener->owner = w;
    listener->wake = on_listener_wake;
    if (try_dial(w, listener->local, NULL, 0, &a, &sys_errno) == 0) {
        serve_one(w, listener, adopt(w, a));
        link_drop(a, false);
    } else {
        assert_int_equal(sys_errno, ENOMEM);
    }
    w->io->ops->unlisten(listener);
}

static void test_X07_out_of_memory(void **state)
{
    (void)state;
    const p2p_mem scarce = {scarce_malloc, scarce_realloc, free};
    p2p_mem_set(&scarce);
    for (int n = 0; n < 20; n++) {
        struct world w;
        allocations_left = -1;
        world_open(&w);
        allocations_left = n;
        out_of_memory_flow(&w);
        if (n < 3)
            assert_int_equal(allocations_left, 0);
        world_close(&w);
    }
    assert_true(allocations_left > 0);
    uv_loop_t loop;
    uv_loop_init(&loop);
    allocations_left = 0;
    assert_null(p2p_io_uv(&loop));
    assert_null(p2p_io_poll());
    allocations_left = 1; /* the private loop, but not the io */
    assert_null(p2p_io_poll());
    p2p_mem_set(NULL);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_addr_helpers(void **state)
{
    (void)state;
    struct io_addr a = localhost(1), b = localhost(1);
    b.scope = 7; /* means nothing in IPv4 */
    b.ip[4] = 1;
    assert_true(p2p__io_addr_equal(&a, &b));
    b.ip[3] = 2;
    assert_false(p2p__io_addr_equal(&a, &b));
    b = localhost(2);
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
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_ipv6_echo),
        cmocka_unit_test(test_fill_never_exceeds_room),
        cmocka_unit_test(test_borrow_and_settle),
        cmocka_unit_test(test_borrower_closed),
        cmocka_unit_test(test_fill_twice_without_settling),
        cmocka_unit_test(test_bulk_in_pieces),
        cmocka_unit_test(test_write_many_iovs),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_end_while_not_reading),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_while_not_reading),
        cmocka_unit_test(test_O03_write_after_reset),
        cmocka_unit_test(test_close_delivers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dial_fails_at_once),
        cmocka_unit_test(test_dial_meets_itself),
        cmocka_unit_test(test_O04_link_local),
        cmocka_unit_test(test_interfaces),
        cmocka_unit_test(test_O04_port_in_use),
        cmocka_unit_test(test_dial_from_listening_port),
        cmocka_unit_test(test_O04_any_address_of_both_families),
        cmocka_unit_test(test_socket_options),
        cmocka_unit_test(test_accept_none),
        cmocka_unit_test(test_X01_out_of_descriptors),
        cmocka_unit_test(test_close_within_wake),
        cmocka_unit_test(test_X07_out_of_memory),
        cmocka_unit_test(test_addr_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
