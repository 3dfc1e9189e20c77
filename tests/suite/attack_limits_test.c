/* The rows X of the catalogue of attacks: more connections than there is room for. */
#include "tests/test.h"

#include "tests/world.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/scene.h"

/* ---- X01: a process with few descriptors, and more connects than those ---- */

enum {
    FEW_FDS = 64,
    CONNECTS = 500,
};

struct child {
    pid_t pid;
    int from, to; /* pipes */
    char addr[256];
};

static bool has_ended(void *user)
{
    char byte;
    return read(*(int *)user, &byte, 1) == 0; /* the pipe is closed: it is time to go */
}

/* In the child: a host that echoes until its standard pipe closes. */
static void child_main(int in, int out)
{
    struct world world;
    char addr[256];
    const struct rlimit few = {FEW_FDS, FEW_FDS};
    world_init(&world, WORLD_UV, 31, false);
    p2p_host *host = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(host, ECHO_PROTOCOL, &echo_events, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fcntl(in, F_SETFL, O_NONBLOCK);
    world_addr(host, addr, sizeof(addr));
    assert_true(write(out, addr, sizeof(addr)) == sizeof(addr));
    while (!has_ended(&in))
        world_run(&world, 20);
    world_fini(&world);
    _exit(0);
}

static void child_start(struct child *self)
{
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    self->pid = fork();
    assert_true(self->pid >= 0);
    if (self->pid == 0) {
        close(to[1]);
        close(from[0]);
        child_main(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    self->to = to[1];
    self->from = from[0];
    assert_true(read(self->from, self->addr, sizeof(self->addr)) == sizeof(self->addr));
}

static void child_end(struct child *self)
{
    int status = 0;
    close(self->to);
    assert_int_equal(waitpid(self->pid, &status, 0), self->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(self->from);
}

/* Processor time in milliseconds. */
static long child_cpu_ms(const struct child *self)
{
    char path[64], text[1024];
    unsigned long user = 0, sys = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)self->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    const char *fields = strrchr(text, ')');
    assert_int_equal(
        sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys), 2);
    return (long)((user + sys) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

static void child_flood(const struct child *child, int *fds)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    unsigned port;
    assert_int_equal(sscanf(child->addr, "/ip4/127.0.0.1/tcp/%u", &port), 1);
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < CONNECTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(fds[i] >= 0);
        (void)connect(fds[i], (struct sockaddr *)&to, sizeof(to));
    }
}

static void test_X01_out_of_descriptors(void **state)
{
    struct child child;
    struct world world;
    int fds[CONNECTS];
    (void)state;
    child_start(&child);
    child_flood(&child, fds);
    usleep(300 * 1000);
    long before_ms = child_cpu_ms(&child);
    usleep(2000 * 1000);
    assert_true(child_cpu_ms(&child) - before_ms <= 400); /* 20 % */
    for (int i = 0; i < CONNECTS; i++)
        close(fds[i]);
    world_init(&world, WORLD_UV, 32, false);
    p2p_host *late = world_host(&world, NULL);
    struct side side = {.to_send = 1000};
    open_echo(late, child.addr, &side);
    assert_true(world_until(&world, closed, &side, 3000));
    assert_int_equal(side.close_code, 0);
    world_fini(&world);
    child_end(&child);
}

/* ---- X02: ten thousand connections that say nothing ---- */

enum {
    IDLE = 10000,
    HALF_OPEN_MAX = 64,
    HONEST_MS = 2000,
};

static struct io_addr far_away(struct scene *s, uint32_t number)
{
    struct io_addr addr = {.family = 4, .ip = {11, 0, (uint8_t)(number >> 8), (uint8_t)number}};
    char text[32];
    snprintf(text, sizeof(text), "11.0.%u.%u", number >> 8, number & 255);
    assert_int_equal(p2p_sim_add_address(s->net.io, text), 0);
    return addr;
}

static void honest_dial(struct scene *s, p2p_host *late)
{
    struct side side = {.to_send = 1000};
    open_echo(late, s->addr, &side);
    assert_true(scene_until(s, closed, &side, HONEST_MS));
    assert_int_equal(side.close_code, 0);
    p2p_conn_close(p2p_host_conn(late, p2p_host_peer(s->victim)));
    scene_run(s, 200);
}

static void idle_connects(bool one_ip, uint32_t at_once)
{
    struct scene s;
    scene_init(&s, WORLD_SIM, NULL, true);
    p2p_host *late = world_host(&s.world, NULL);
    enum { IPS = 1000 };
    struct io_addr *from = calloc(IPS, sizeof(*from));
    for (uint32_t i = 0; i < IPS; i++)
        from[i] = far_away(&s, i);
    scene_measure(&s);
    s.heap_slack = 1 << 20; /* the simulator's tables of so many sockets */
    struct raw_peer *last = NULL;
    for (uint32_t i = 0; i < IDLE; i++) {
        last = raw_dial_from(&s.net, s.victim, one_ip ? &from[0] : &from[i % IPS]);
        if (i % at_once == at_once - 1) {
            scene_run(&s, 10);
            assert_true(scene_load(&s).half_open <= (one_ip ? 8 : HALF_OPEN_MAX));
        }
        if (i == IDLE / 2)
            honest_dial(&s, late);
    }
    honest_dial(&s, late);
    assert_true(s.limits > 0);
    scene_run(&s, 11000);
    assert_int_equal(scene_load(&s).half_open, 0);
    assert_true(last->gone);
    free(from);
    scene_fini(&s);
}

static void test_X02_ten_thousand_idle_connects(void **state)
{
    (void)state;
    idle_connects(false, 10);
    idle_connects(false, 100); /* ten thousand a second: each lives 6.4 ms */
    idle_connects(true, 100);
}

/* The flood of one address never pushes out what others are about to finish. */
static void test_X02_a_refused_address_pushes_nobody_out(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    struct io_addr from[HALF_OPEN_MAX];
    struct raw_peer *slow[HALF_OPEN_MAX];
    for (uint32_t i = 0; i < HALF_OPEN_MAX; i++)
        from[i] = far_away(&s, i);
    scene_measure(&s);
    for (int i = 0; i < HALF_OPEN_MAX; i++)
        slow[i] = raw_dial_from(&s.net, s.victim, &from[i < 8 ? 0 : i]); /* 8 from the first */
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_MAX);
    for (int i = 0; i < 1000; i++)
        raw_dial_from(&s.net, s.victim, &from[0]);
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_MAX);
    for (int i = 0; i < HALF_OPEN_MAX; i++)
        assert_false(slow[i]->gone);
    assert_string_equal(s.limit, "conns_per_ip");
    scene_fini(&s);
}

/* ---- X03: one address, one peer, a thousand peers from one address ---- */

static const char *const with_loopback[] = {"limit_loopback=true", NULL};

static void dial_hundred(struct scene *s, struct raw_peer **peer, bool same_key, bool finish)
{
    for (int i = 0; i < 100; i++) {
        peer[i] = raw_dial(&s->net, s->victim);
        if (!same_key)
            peer[i]->key = world_key(55, 2000 + i);
        if (finish)
            raw_begin(peer[i], RAW_BYTES);
        if (finish && i % 4 == 3)
            scene_run(s, s->world.kind == WORLD_SIM ? 400 : 50);
    }
    scene_run(s, s->world.kind == WORLD_SIM ? 1000 : 200);
    scene_run(s, 100);
}

static int stay(struct raw_peer **peer)
{
    int count = 0;
    for (int i = 0; i < 100; i++)
        count += !peer[i]->gone;
    return count;
}

static void free_keys(struct scene *s, struct raw_peer **peer)
{
    for (int i = 0; i < 100; i++) {
        if (peer[i]->key != s->net.key)
            p2p_key_free((p2p_key *)peer[i]->key);
        raw_free(peer[i]);
    }
}

static void test_X03_connections_of_an_address_and_of_a_peer(void **state)
{
    struct raw_peer *peer[100];
    struct scene s;
    scene_init(&s, kind_of(state), with_loopback, false);
    /* In the world of sockets all share 127.0.0.1 with the honest peer. */
    int others = s.world.kind == WORLD_UV;
    dial_hundred(&s, peer, true, false);
    assert_int_equal(stay(peer), 8 - others);
    free_keys(&s, peer);
    scene_run(&s, 300);
    dial_hundred(&s, peer, true, true);
    assert_int_equal(stay(peer), 4);
    assert_int_equal(scene_load(&s).conns, 1 + 4);
    free_keys(&s, peer);
    scene_run(&s, 300);
    dial_hundred(&s, peer, false, true);
    assert_int_equal(stay(peer), 8 - others);
    free_keys(&s, peer);
    scene_fini(&s);
}

/* All shake hands at the same time: the limit holds at the end of it, too. */
static void test_X03_connections_in_all(void **state)
{
    static const char *const options[] = {"conns_in=5", "half_open=64", NULL};
    struct raw_peer *peer[30];
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    p2p_host *late = world_host(&s.world, NULL);
    struct io_addr from[30];
    if (s.world.kind == WORLD_SIM)
        for (uint32_t i = 0; i < 30; i++)
            from[i] = far_away(&s, i);
    honest_dial(&s, late);
    scene_measure(&s);
    for (int i = 0; i < 30; i++) {
        peer[i] = raw_dial_from(&s.net, s.victim, s.world.kind == WORLD_SIM ? &from[i] : NULL);
        peer[i]->key = world_key(56, 3000 + i);
        raw_begin(peer[i], RAW_BYTES);
    }
    scene_run(&s, 1500);
    assert_int_equal(scene_load(&s).conns, 5); /* with the honest one */
    struct side side = {.to_send = 1};
    open_echo(late, s.addr, &side);
    assert_true(scene_until(&s, closed, &side, 25000));
    assert_int_not_equal(side.close_code, 0);
    for (int i = 0; i < 30; i++) {
        p2p_key_free((p2p_key *)peer[i]->key);
        raw_free(peer[i]);
    }
    scene_fini(&s);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X01_out_of_descriptors),
        cmocka_unit_test(test_X02_ten_thousand_idle_connects),
        cmocka_unit_test(test_X02_a_refused_address_pushes_nobody_out),
        BOTH(test_X03_connections_of_an_address_and_of_a_peer),
        BOTH(test_X03_connections_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
