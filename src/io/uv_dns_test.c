/* The name service on real sockets, at the level of io: deadlines, bounds, and what is left behind.
 * The server is silent; answers are tested through whole hosts. */
#include "io/uv_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct server {
    uv_udp_t udp;
    struct io_addr addr;
    int asked;
    uint8_t in[2048];
};

static unsigned query_wakes;

static void on_answer(struct io_query *query)
{
    assert_true(query->done);
    query_wakes++;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct server *self = handle->data;
    (void)wanted;
    *out = uv_buf_init((char *)self->in, sizeof(self->in));
}

static void on_question(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                        unsigned flags)
{
    (void)buf;
    (void)flags;
    ((struct server *)udp->data)->asked += n > 0 && from;
}

static void open_with_server(struct world *w, struct server *server)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int at_len = sizeof(at);
    world_open(w);
    query_wakes = 0;
    server->asked = 0;
    uv_udp_init(&w->loop, &server->udp);
    server->udp.data = server;
    assert_int_equal(uv_udp_bind(&server->udp, (struct sockaddr *)&at, 0), 0);
    uv_udp_getsockname(&server->udp, (struct sockaddr *)&at, &at_len);
    uv_udp_recv_start(&server->udp, on_alloc, on_question);
    server->addr = localhost(ntohs(at.sin_port));
    w->io->ops->name_servers(w->io, &server->addr, 1);
}

static void close_with_server(struct world *w, struct server *server)
{
    uv_close((uv_handle_t *)&server->udp, NULL);
    world_close(w);
}

static struct io_query *ask(struct world *w, const char *name, enum io_record record,
                            uint64_t timeout_us)
{
    struct io_query *query = NULL;
    uint64_t deadline_us = timeout_us ? io_now_us(w->io) + timeout_us : UINT64_MAX;
    assert_int_equal(w->io->ops->resolve(w->io, name, record, deadline_us, &query), 0);
    query->wake = on_answer;
    return query;
}

static void test_a_query_ends_at_its_deadline(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    open_with_server(&w, &server);
    uint64_t start = io_now_us(w.io);
    struct io_query *late = ask(&w, "late.test", IO_TXT, 120000);
    struct io_query *soon = ask(&w, "soon.test", IO_A, 40000);
    RUN_UNTIL(&w, soon->done);
    assert_in_range(io_now_us(w.io) - start, 40000, 110000);
    assert_int_equal(soon->code, P2P_ETIMEDOUT);
    assert_false(late->done);
    RUN_UNTIL(&w, late->done);
    assert_in_range(io_now_us(w.io) - start, 120000, 1000000);
    assert_int_equal(late->code, P2P_ETIMEDOUT);
    assert_int_equal(query_wakes, 2);
    assert_int_equal(server.asked, 2);
    w.io->ops->resolve_end(soon);
    w.io->ops->resolve_end(late);
    assert_quiet(&w);
    close_with_server(&w, &server);
}

static void test_ended_before_an_answer(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    open_with_server(&w, &server);
    w.io->ops->resolve_end(ask(&w, "a.test", IO_AAAA, 10000));
    struct io_query *query = ask(&w, "b.test", IO_TXT, 20000);
    RUN_UNTIL(&w, query->done);
    w.io->ops->resolve_end(query);
    assert_int_equal(query_wakes, 1);
    assert_quiet(&w);
    close_with_server(&w, &server);
}

/* Those that the owner ended count until c-ares gives them up: they still cost. */
static void test_at_most_256_questions(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    char name[32];
    struct io_query *one_more;
    open_with_server(&w, &server);
    for (int i = 0; i < IO_QUERIES_MAX; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        w.io->ops->resolve_end(ask(&w, name, IO_TXT, 0));
    }
    assert_int_equal(w.io->ops->resolve(w.io, "x.test", IO_TXT, UINT64_MAX, &one_more), P2P_ELIMIT);
    close_with_server(&w, &server);
}

static void test_names_that_are_none(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    struct io_query *query;
    char name[IO_NAME_MAX + 2];
    open_with_server(&w, &server);
    assert_int_equal(w.io->ops->resolve(w.io, "", IO_A, UINT64_MAX, &query), P2P_ERESOLVE);
    for (size_t i = 0; i < sizeof(name) - 1; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[IO_NAME_MAX + 1] = '\0';
    assert_int_equal(w.io->ops->resolve(w.io, name, IO_TXT, UINT64_MAX, &query), P2P_ERESOLVE);
    name[IO_NAME_MAX] = '\0';
    query = ask(&w, name, IO_TXT, 30000);
    RUN_UNTIL(&w, query->done);
    assert_int_equal(query->code, P2P_ETIMEDOUT); /* it was sent */
    assert_int_equal(server.asked, 1);
    w.io->ops->resolve_end(query);
    query = ask(&w, "a..b", IO_TXT, 1000000);
    RUN_UNTIL(&w, query->done);
    assert_int_equal(query->code, P2P_ERESOLVE);
    w.io->ops->resolve_end(query);
    close_with_server(&w, &server);
}

/* An address is its own answer, at once. */
static void test_done_within_the_call(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    open_with_server(&w, &server);
    struct io_query *query = ask(&w, "127.0.0.9", IO_A, 0);
    assert_true(query->done);
    assert_int_equal(query->code, 0);
    assert_int_equal(query->addr_count, 1);
    const struct io_addr wanted = ip4(127, 0, 0, 9, 0);
    assert_true(p2p__io_addr_equal(&query->addrs[0], &wanted));
    w.io->ops->resolve_end(query);
    assert_quiet(&w);
    close_with_server(&w, &server);
}

/* Nobody listens there: an ICMP error, or the deadline. */
static void test_no_server_at_all(void **state)
{
    (void)state;
    struct world w;
    struct server server;
    open_with_server(&w, &server);
    const struct io_addr nobody = localhost(1);
    w.io->ops->name_servers(w.io, &nobody, 1);
    struct io_query *query = ask(&w, "a.test", IO_A, 500000);
    RUN_UNTIL(&w, query->done);
    assert_true(query->code == P2P_ERESOLVE || query->code == P2P_ETIMEDOUT);
    bool refused = query->code == P2P_ERESOLVE;
    w.io->ops->resolve_end(query);
    /* With none under way, the next question goes to the servers that are set now. */
    w.io->ops->name_servers(w.io, &server.addr, 1);
    query = ask(&w, "a.test", IO_TXT, 50000);
    RUN_UNTIL(&w, query->done);
    assert_int_equal(server.asked, refused ? 1 : 0);
    w.io->ops->resolve_end(query);
    close_with_server(&w, &server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_ends_at_its_deadline),
        cmocka_unit_test(test_ended_before_an_answer),
        cmocka_unit_test(test_at_most_256_questions),
        cmocka_unit_test(test_names_that_are_none),
        cmocka_unit_test(test_done_within_the_call),
        cmocka_unit_test(test_no_server_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
