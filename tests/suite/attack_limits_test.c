/* The rows X of the catalogue of attacks: more connections than there is room for. */
#include "tests/test.h"

#include "tests/world.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p2p/limits.h>

#include "codec/addr_facts.h"
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
    HALF_OPEN_EARLY = 32, /* beyond that idle ones may go */
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
    struct io_addr from[HALF_OPEN_EARLY];
    struct raw_peer *slow[HALF_OPEN_EARLY];
    for (uint32_t i = 0; i < HALF_OPEN_EARLY; i++)
        from[i] = far_away(&s, i);
    scene_measure(&s);
    for (int i = 0; i < HALF_OPEN_EARLY; i++)
        slow[i] = raw_dial_from(&s.net, s.victim, &from[i < 8 ? 0 : i]); /* 8 from the first */
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_EARLY);
    for (int i = 0; i < 1000; i++)
        raw_dial_from(&s.net, s.victim, &from[0]);
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_EARLY);
    for (int i = 0; i < HALF_OPEN_EARLY; i++)
        assert_false(slow[i]->gone);
    assert_string_equal(s.limit, "conns_per_ip");
    scene_fini(&s);
}

/* `count` silent ones from ever other addresses come; how many are there then. */
static size_t silent_ones(struct scene *s, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct io_addr from = far_away(s, i);
        raw_dial_from(&s->net, s->victim, &from);
        scene_run(s, 10);
    }
    scene_run(s, 200);
    return scene_load(s).half_open;
}

static void test_X02_idle_ones_go_early(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    assert_int_equal(silent_ones(&s, 0, HALF_OPEN_EARLY), HALF_OPEN_EARLY);
    assert_int_equal(p2p_host_refusals(s.victim, "half_open"), 0);
    raw_net_close_peers(&s.net);
    scene_run(&s, 200);
    size_t stayed = silent_ones(&s, 256, HALF_OPEN_MAX);
    assert_in_range(stayed, HALF_OPEN_EARLY + 4, HALF_OPEN_MAX - 4);
    assert_int_equal(p2p_host_refusals(s.victim, "half_open"), HALF_OPEN_MAX - stayed);
    assert_string_equal(s.limit, "half_open");
    s.heap_slack = 1 << 20; /* the simulator's addresses */
    scene_fini(&s);
}

/* Who has begun to speak is not idle, for a second. */
static void test_X02_only_idle_ones_go_early(void **state)
{
    struct scene s;
    struct raw_peer *peer[HALF_OPEN_MAX];
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    for (uint32_t i = 0; i < HALF_OPEN_MAX; i++) {
        struct io_addr from = far_away(&s, i);
        peer[i] = raw_dial_from(&s.net, s.victim, &from);
        raw_send(peer[i], "\x13", 1);
        scene_run(&s, 5);
    }
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_MAX);
    assert_int_equal(p2p_host_refusals(s.victim, "half_open"), 0);
    struct io_addr from = far_away(&s, 256);
    struct raw_peer *last = raw_dial_from(&s.net, s.victim, &from); /* one too many */
    raw_send(last, "\x13", 1);
    scene_run(&s, 200);
    assert_int_equal(scene_load(&s).half_open, HALF_OPEN_MAX);
    assert_int_equal(p2p_host_refusals(s.victim, "half_open"), 1);
    assert_false(last->gone);
    scene_run(&s, 1000); /* by now all of them are slow */
    for (uint32_t i = 0; i < 8; i++)
        raw_free(peer[i]);
    scene_run(&s, 200);
    uint64_t refused = p2p_host_refusals(s.victim, "half_open");
    for (uint32_t i = 0; i < 8; i++) {
        from = far_away(&s, 300 + i);
        raw_send(raw_dial_from(&s.net, s.victim, &from), "\x13", 1);
        scene_run(&s, 50);
    }
    assert_true(p2p_host_refusals(s.victim, "half_open") > refused);
    assert_true(scene_load(&s).half_open < HALF_OPEN_MAX);
    s.heap_slack = 1 << 20;
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

/* Made and broken, over and over, from one address: as fast as it may, and no faster. */
static void churn_from_one_address(struct scene *s, int count)
{
    for (int i = 0; i < count; i++) {
        struct raw_peer *peer = raw_dial(&s->net, s->victim);
        scene_run(s, s->world.kind == WORLD_SIM ? 200 : 20);
        raw_free(peer);
    }
    scene_run(s, s->world.kind == WORLD_SIM ? 200 : 50);
}

static void test_X03_how_fast_connections_come(void **state)
{
    static const char *const options[] = {"limit_loopback=true", "conn_interval=60s",
                                          "conn_burst=20", NULL};
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    int before = s.world.kind == WORLD_UV ? 2 : 1; /* the first peer's, and the honest one's */
    churn_from_one_address(&s, 20 - before);
    assert_int_equal(p2p_host_refusals(s.victim, "conn_interval"), 0);
    churn_from_one_address(&s, 5);
    assert_int_equal(p2p_host_refusals(s.victim, "conn_interval"), 5);
    assert_string_equal(s.limit, "conn_interval");
    if (s.world.kind == WORLD_SIM) {
        scene_run(&s, 120 * 1000); /* two more */
        churn_from_one_address(&s, 4);
        assert_int_equal(p2p_host_refusals(s.victim, "conn_interval"), 7);
    }
    scene_fini(&s);
}

static void test_X03_loopback_is_exempt(void **state)
{
    static const char *const options[] = {"conn_interval=60s", "conns_per_ip=2", "half_open=64",
                                          NULL};
    struct raw_peer *peer[100];
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_UV, options, false);
    for (int i = 0; i < 30; i++) {
        peer[i] = scene_raw(&s);
        peer[i]->key = s.net.key;
        if (i >= 4)
            continue;
        assert_false(peer[i]->gone);
    }
    assert_int_equal(p2p_host_refusals(s.victim, "conn_interval"), 0);
    assert_int_equal(p2p_host_refusals(s.victim, "conns_per_ip"), 0);
    assert_true(p2p_host_refusals(s.victim, "conns_per_peer") > 0);
    scene_fini(&s);
}

/* The networks around an address, of both families. */
static void come_from(struct scene *s, const char *format, unsigned count, unsigned step,
                      unsigned stay, const char *limit)
{
    struct raw_peer **peer = calloc(count, sizeof(struct raw_peer *));
    unsigned stayed = 0;
    for (unsigned i = 0; i < count; i++) {
        char text[64], full[80];
        p2p_multiaddr addr;
        struct addr_facts facts;
        snprintf(text, sizeof(text), format, i * step);
        snprintf(full, sizeof(full), "/%s/%s", strchr(text, ':') ? "ip6" : "ip4", text);
        assert_int_equal(p2p_multiaddr_parse(full, &addr), 0);
        p2p__addr_facts(&addr, &facts);
        struct io_addr from = {.family = facts.family};
        memcpy(from.ip, facts.ip, sizeof(from.ip));
        assert_int_equal(p2p_sim_add_address(s->net.io, text), 0);
        peer[i] = raw_dial_from(&s->net, s->victim, &from);
        assert_non_null(peer[i]);
        peer[i]->key = world_key(57, 100 + (int)i);
        raw_begin(peer[i], RAW_BYTES);
        scene_run(s, 300);
    }
    for (unsigned i = 0; i < count; i++)
        stayed += !peer[i]->gone && peer[i]->stage == RAW_OPEN;
    assert_int_equal(stayed, stay);
    assert_string_equal(s->limit, limit);
    assert_int_equal(p2p_host_refusals(s->victim, limit), count - stay);
    for (unsigned i = 0; i < count; i++) {
        p2p_key_free((p2p_key *)peer[i]->key);
        raw_free(peer[i]);
    }
    free(peer);
    s->heap_slack = 1 << 20; /* the simulator's addresses */
}

static void test_X03_connections_of_a_network(void **state)
{
    static const char *const options[] = {"conns_per_subnet=20", NULL};
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, options, true);
    come_from(&s, "12.1.2.%u", 25, 1, 20, "conns_per_subnet");
    scene_fini(&s);
}

/* ---- what is refused is counted, by every limit, and told ---- */

struct told {
    int of_first, of_second;
    const char *first;
};

static void count_told(p2p_host *host, const p2p_error *why, void *user)
{
    struct told *self = user;
    (void)host;
    assert_int_equal(why->code, P2P_ELIMIT);
    assert_non_null(why->message);
    if (strcmp(why->limit, self->first) == 0)
        self->of_first++;
    else
        self->of_second++;
}

/* A thousand refusals a second by one limit: ten a second are told, and the few of another limit
 * are among them. */
static void test_X04_refusals_are_counted_and_told(void **state)
{
    static const char *const options[] = {"conns_per_ip=2", "conns_in=3", NULL};
    static const p2p_host_events events = {.size = sizeof(events), .on_limit = count_told};
    struct told told = {.first = "conns_per_ip"};
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, options, true);
    struct raw_peer *held[2] = {scene_raw(&s), scene_raw(&s)};
    p2p_host_set_events(s.victim, &events, &told);
    scene_run(&s, 1000);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++)
            raw_dial(&s.net, s.victim);
        scene_run(&s, 50);
    }
    scene_run(&s, 1000);
    /* conns_in: the third from elsewhere. */
    assert_int_equal(p2p_host_refusals(s.victim, "conns_in") +
                         p2p_host_refusals(s.victim, "conns_per_ip"),
                     1000);
    assert_in_range(told.of_first + told.of_second, 10, 30);
    p2p_limit_info info = P2P_LIMIT_INFO_INIT;
    for (size_t i = 0; p2p_host_limit_at(s.victim, i, &info) == 0; i++) {
        assert_int_equal(info.refusals, p2p_host_refusals(s.victim, info.name));
        if (strcmp(info.name, "conns_in") == 0) {
            assert_int_equal(info.value, 3);
            assert_int_equal(info.used, 3);
        }
    }
    raw_free(held[0]);
    raw_free(held[1]);
    p2p_host_set_events(s.victim, NULL, NULL);
    scene_fini(&s);
}

/* ---- descriptors ---- */

static void test_X01_descriptors_of_connections(void **state)
{
    static const char *const options[] = {"fds=16", "conns_per_ip=100", "half_open_per_ip=100",
                                          NULL};
    struct raw_peer *peer[30];
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    /* An eighth is kept for dialing; one is the honest peer's. */
    for (int i = 0; i < 13; i++) {
        peer[i] = raw_dial(&s.net, s.victim);
        scene_run(&s, 100);
        assert_false(peer[i]->gone);
    }
    assert_int_equal(p2p_host_refusals(s.victim, "fds"), 0);
    peer[13] = raw_dial(&s.net, s.victim);
    assert_true(scene_until(&s, raw_is_gone, peer[13], 1000));
    assert_int_equal(p2p_host_refusals(s.victim, "fds"), 1);
    assert_string_equal(s.limit, "fds");
    raw_free(peer[0]);
    scene_run(&s, 200);
    peer[0] = raw_dial(&s.net, s.victim);
    scene_run(&s, 200);
    assert_false(peer[0]->gone);
    scene_fini(&s);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X01_out_of_descriptors),
        cmocka_unit_test(test_X02_ten_thousand_idle_connects),
        cmocka_unit_test(test_X02_a_refused_address_pushes_nobody_out),
        cmocka_unit_test(test_X02_idle_ones_go_early),
        cmocka_unit_test(test_X02_only_idle_ones_go_early),
        BOTH(test_X03_connections_of_an_address_and_of_a_peer),
        BOTH(test_X03_connections_in_all),
        BOTH(test_X03_how_fast_connections_come),
        cmocka_unit_test(test_X03_loopback_is_exempt),
        cmocka_unit_test(test_X03_connections_of_a_network),
        cmocka_unit_test(test_X04_refusals_are_counted_and_told),
        BOTH(test_X01_descriptors_of_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
