/* The blocking API as descriptors: streams that became sockets, and events to poll for. */
#include "tests/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool readable(int fd, int timeout_ms)
{
    struct pollfd self = {.fd = fd, .events = POLLIN};
    return poll(&self, 1, timeout_ms) == 1 && (self.revents & (POLLIN | POLLHUP));
}

static void fd_expect(int fd, const char *text)
{
    char got[256];
    size_t len = 0, want = strlen(text);
    while (len < want) {
        assert_true(readable(fd, LONG_MS));
        ssize_t n = read(fd, got + len, want - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(got, text, want);
}

static void fd_expect_end(int fd)
{
    char byte;
    assert_true(readable(fd, LONG_MS));
    assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_socket_both_ways(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char byte;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    put(far, "before");
    put(near, "early");
    expect(near, "be"); /* the rest is in our ring by now */
    int fd = p2p_stream_fd(near);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(p2p_stream_fd(near), P2P_ENOTSUP);
    assert_int_equal(p2p_read(near, &byte, 1, -1), P2P_ENOTSUP);
    assert_int_equal(p2p_write(near, &byte, 1, -1), P2P_ENOTSUP);
    assert_int_equal(p2p_shutdown(near), P2P_ENOTSUP);
    assert_int_equal(p2p_close(near), 0);
    fd_expect(fd, "fore");
    expect(far, "early");
    assert_false(readable(fd, 0));
    put(far, "more");
    fd_expect(fd, "more");
    assert_int_equal(write(fd, "back", 4), 4);
    expect(far, "back");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect_end(far);
    put(far, "bye");
    assert_int_equal(p2p_close(far), 0);
    fd_expect(fd, "bye");
    fd_expect_end(fd);
    close(fd);
    two_close(&two);
}

static void test_socket_ends(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char byte;
    two_open(&two, 0);
    /* Closed: what was written is delivered, then both sides have ended. */
    two_connect(&two, &near, &far);
    int fd = p2p_stream_fd(near);
    assert_int_equal(write(fd, "last", 4), 4);
    close(fd);
    expect(far, "last");
    expect_end(far);
    p2p_close(far);
    /* Reset by the remote: an end. */
    two_connect(&two, &near, &far);
    fd = p2p_stream_fd(near);
    p2p_reset(far, 1);
    fd_expect_end(fd);
    close(fd);
    /* Reset by us, through the handle that is left. */
    two_connect(&two, &near, &far);
    fd = p2p_stream_fd(near);
    assert_int_equal(p2p_reset(near, 1), 0);
    assert_int_equal(p2p_read(far, &byte, 1, LONG_MS), P2P_ERESET);
    fd_expect_end(fd);
    close(fd);
    /* The end had come before there was a socket. */
    two_connect(&two, &near, &far);
    put(far, "early end");
    p2p_close(far);
    expect(near, "early");
    p2p_shutdown(near);
    fd = p2p_stream_fd(near);
    fd_expect(fd, " end");
    fd_expect_end(fd);
    close(fd);
    two_close(&two);
}

static void *echo(void *arg)
{
    struct blocked *self = arg;
    static char bytes[65536];
    while ((self->result = p2p_read(self->handle, bytes, sizeof(bytes), LONG_MS)) > 0)
        assert_int_equal(p2p_write(self->handle, bytes, (size_t)self->result, LONG_MS),
                         self->result);
    p2p_close(self->handle);
    return NULL;
}

/* 32 MiB there and back through a non-blocking socket that is polled for both. */
static void test_socket_bulk(void **state)
{
    (void)state;
    enum { ALL = 32 << 20, PIECE = 40000 };
    struct two two;
    struct blocked server;
    p2p_h near, far;
    uint8_t *bytes = malloc(2 * PIECE);
    size_t sent = 0, got = 0;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    blocked_start(&server, far, echo);
    int fd = p2p_stream_fd(near);
    assert_int_equal(p2p_close(near), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (got < ALL) {
        struct pollfd poller = {.fd = fd, .events = (short)(POLLIN | (sent < ALL ? POLLOUT : 0))};
        assert_int_equal(poll(&poller, 1, LONG_MS), 1);
        if (poller.revents & POLLOUT) {
            size_t len = ALL - sent < PIECE ? ALL - sent : PIECE;
            for (size_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)((sent + i) % 251);
            ssize_t n = write(fd, bytes, len);
            assert_true(n > 0);
            sent += (size_t)n;
            if (sent == ALL)
                assert_int_equal(shutdown(fd, SHUT_WR), 0);
        }
        ssize_t n = poller.revents & POLLIN ? read(fd, bytes, 2 * PIECE) : 0;
        assert_true(n >= 0);
        for (ssize_t i = 0; i < n; i++, got++)
            if (bytes[i] != got % 251)
                fail_msg("byte %zu is another", got);
    }
    fd_expect_end(fd);
    close(fd);
    blocked_join(&server);
    assert_int_equal(server.result, 0);
    free(bytes);
    two_close(&two);
}

/* Whoever reads nothing stops the remote, and loses nothing when the remote has left. */
static void test_socket_backpressure(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    static char bulk[1 << 20];
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    int fd = p2p_stream_fd(near);
    int64_t took, all = 0;
    do {
        took = p2p_write(far, bulk, sizeof(bulk), 100);
        all += took > 0 ? took : 0;
    } while (took == sizeof(bulk));
    assert_true(all > 0 && all < 16 << 20);
    p2p_shutdown(far);
    ssize_t n;
    while ((n = read(fd, bulk, sizeof(bulk))) > 0)
        all -= n;
    assert_int_equal(n, 0);
    assert_int_equal(all, 0);
    close(fd);
    two_close(&two);
}

/* The remote has written more than a socket holds, and has left: it waits for the reader. */
static void test_socket_keeps_what_came(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    static char bulk[250000];
    size_t got = 0;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    int fd = p2p_stream_fd(near), small = 8192;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    memset(bulk, 'b', sizeof(bulk));
    assert_int_equal(p2p_write(far, bulk, sizeof(bulk), LONG_MS), sizeof(bulk));
    assert_int_equal(p2p_close(far), 0);
    assert_int_equal(p2p_close(two.server), 0);
    for (ssize_t n; (n = read(fd, bulk, 1000)) > 0; got += (size_t)n)
        assert_int_equal(bulk[0], 'b');
    assert_int_equal(got, sizeof(bulk));
    close(fd);
    assert_int_equal(p2p_close(two.client), 0);
}

static void test_closing_the_host_ends_sockets(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far, near2, far2;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    two_connect(&two, &near2, &far2);
    int idle = p2p_stream_fd(near), full = p2p_stream_fd(near2);
    static char bulk[1 << 20];
    (void)p2p_write(far2, bulk, sizeof(bulk), 100);
    assert_int_equal(write(idle, "just now", 8), 8);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(p2p_close(two.client), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* What is in a socket is taken at once: nobody waits for more. */
    double took = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
    assert_true(took < 0.9);
    fd_expect_end(idle);
    assert_true(readable(full, 0));
    expect(far, "just now");
    close(idle);
    close(full);
    assert_int_equal(p2p_close(two.server), 0);
}

static void test_event_fd(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char json[P2P_EVENT_MAX];
    two_open(&two, 0);
    int fd = p2p_event_fd(two.server);
    assert_true(fd >= 0);
    assert_int_equal(p2p_event_fd(two.server), fd);
    assert_true(readable(fd, LONG_MS)); /* listening */
    assert_true(p2p_next_event(two.server, json, sizeof(json), P2P_NO_WAIT) > 0);
    assert_false(readable(fd, 0));
    two_connect(&two, &near, &far);
    assert_true(readable(fd, LONG_MS));
    assert_true(p2p_next_event(two.server, json, sizeof(json), P2P_NO_WAIT) > 0);
    assert_false(readable(fd, 0));
    /* More than are kept: the oldest stay, the others are counted. */
    for (int i = 0; i < 150; i++) {
        p2p_h other = p2p_open("services=");
        assert_true(p2p_dial(other, two.addr, PROTOCOL, LONG_MS));
        p2p_close(p2p_accept(two.listener, LONG_MS));
        p2p_close(other);
    }
    assert_true(p2p_next_event(two.server, json, sizeof(json), P2P_NO_WAIT) > 0);
    p2p_h late = p2p_open("services=");
    assert_true(p2p_dial(late, two.addr, PROTOCOL, LONG_MS));
    p2p_close(p2p_accept(two.listener, LONG_MS));
    p2p_close(late);
    int count = 1;
    while (p2p_next_event(two.server, json, sizeof(json), 500) > 0 && !strstr(json, "dropped"))
        count++;
    assert_int_equal(count, 256);
    assert_memory_equal(json, "{\"event\":\"dropped\",\"count\":4", 28);
    assert_false(readable(fd, 0));
    two_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_both_ways),
        cmocka_unit_test(test_socket_ends),
        cmocka_unit_test(test_socket_bulk),
        cmocka_unit_test(test_socket_backpressure),
        cmocka_unit_test(test_socket_keeps_what_came),
        cmocka_unit_test(test_closing_the_host_ends_sockets),
        cmocka_unit_test(test_event_fd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
