/* Dialing and listening. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p2p/mem.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dial_fails_at_once),
        cmocka_unit_test(test_dial_meets_itself),
        cmocka_unit_test(test_O04_port_in_use),
        cmocka_unit_test(test_dial_from_listening_port),
        cmocka_unit_test(test_O04_any_address_of_both_families),
        cmocka_unit_test(test_socket_options),
        cmocka_unit_test(test_accept_none),
        cmocka_unit_test(test_X01_out_of_descriptors),
        cmocka_unit_test(test_X07_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
