/* Memory of idle connections and of idle streams on them, loopback, one process a side: what the
 * library holds (exactly, malloc's own part included) and what the process has resident.
 *
 *   bench-idle [CONNECTIONS=10000] [STREAMS_EACH=4]
 *
 * Both serve what a host serves by default. To the listener every connection comes from another
 * peer, which identifies itself, so that whatever a host keeps for a peer is counted with its
 * connection. The dialer has that many connections with one peer. A stream has its protocol agreed;
 * the first of a connection costs more than the others, and is counted. */
#include "bench.h"

#include <p2p/key.h>

#include "services/identify.h"

#define IDLE "/bench/idle"

enum {
    SETTLE_MS = 3000, /* identify has been exchanged, handshake memory is freed */
    AT_ONCE = 64,     /* streams in the making */
};

struct run {
    struct bench_host base;
    const char *addr;
    uint64_t dialed, opened, to_open;
    size_t conn_count, each;
    p2p_conn **conns;
    p2p_key *key;
};

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)user;
    fprintf(stderr, "bench-idle: a stream ended: %s\n", why ? why->message : "in order");
    exit(1);
}

static const p2p_stream_events served = {sizeof(served), NULL, NULL, NULL, NULL, on_close};

static void serve(struct bench_host *self)
{
    p2p_host_handle(self->host, IDLE, &served, NULL);
}

/* ---- connections, one after the other ---- */

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct run *self = user;
    (void)host;
    self->conns[self->dialed] = conn;
}

static const p2p_host_events host_events = {.size = sizeof(host_events),
                                            .on_connected = on_connected};

static void dialed(void *user, const p2p_error *why)
{
    struct run *self = user;
    if (why) {
        fprintf(stderr, "bench-idle: %s\n", why->message);
        exit(1);
    }
    self->dialed++;
}

/* Another peer from here on. */
static void become_another(struct run *self)
{
    p2p_host *host = self->base.host;
    p2p_key_free(self->key);
    if (p2p_key_generate(P2P_KEY_ED25519, &self->key) < 0)
        die("a key");
    host->shard.key = host->key = self->key;
    p2p__identify_own_reset(p2p__identify_of(host));
}

/* Until the listener has asked who we are, and has been answered. */
static void identified(struct run *self, const p2p_conn *conn)
{
    bool asked = false;
    while (!asked || conn->muxer->streams_in > 0) {
        uv_run(self->base.loop, UV_RUN_ONCE);
        asked = asked || conn->muxer->streams_in > 0;
    }
}

static void connect_all(struct run *self)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.flags = P2P_DIAL_NEW_CONN | P2P_DIAL_NO_REUSE_PORT;
    for (uint64_t i = 1; i <= self->conn_count; i++) {
        become_another(self);
        p2p_host_connect(self->base.host, self->addr, &opts, dialed, self);
        host_until(&self->base, &self->dialed, i);
        identified(self, self->conns[i - 1]);
    }
}

/* ---- streams ---- */

static void open_next(struct run *self);

static void on_open(p2p_stream *stream, void *user)
{
    struct run *self = user;
    (void)stream;
    self->opened++;
    open_next(self);
}

static const p2p_stream_events idle = {sizeof(idle), on_open, NULL, NULL, NULL, on_close};

static void open_next(struct run *self)
{
    static const char *const protocol = IDLE;
    if (self->to_open == 0)
        return;
    self->to_open--;
    p2p_conn_open(self->conns[self->to_open / self->each], &protocol, 1, NULL, &idle, self);
}

static void open_all(struct run *self)
{
    self->to_open = self->conn_count * self->each;
    uint64_t all = self->to_open;
    for (unsigned i = 0; i < AT_ONCE; i++)
        open_next(self);
    host_until(&self->base, &self->opened, all);
}

/* ---- the whole ---- */

static void settled(uv_timer_t *timer)
{
    *(uint64_t *)timer->data = 1;
}

static void settle(struct bench_host *self)
{
    uint64_t over = 0;
    uv_timer_t timer;
    uv_timer_init(self->loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, settled, SETTLE_MS, 0);
    host_until(self, &over, 1);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(self->loop, UV_RUN_NOWAIT);
}

static void report(const char *what, const char *side, struct usage before, struct usage after,
                   size_t count)
{
    char name[64];
    snprintf(name, sizeof(name), "idle.%s.%s.heap", what, side);
    print(name, ((double)after.heap - (double)before.heap) / (double)count, "bytes");
    snprintf(name, sizeof(name), "idle.%s.%s.rss", what, side);
    print(name, ((double)after.rss - (double)before.rss) / (double)count, "bytes");
}

static void allow_descriptors(size_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < count) {
        fprintf(stderr, "bench-idle: %zu descriptors are needed, %llu allowed\n", count,
                (unsigned long long)limit.rlim_max);
        exit(1);
    }
    limit.rlim_cur = count;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    /* clang-format off */
    static const char *const server[] = {
        "listen", "/ip4/127.0.0.1/tcp/0",
        "conns_in", "20000",
        "conns_high", "20000",
        "half_open", "20000",
        "fds", "20000",
        "streams_in", "100000",
        "streams_total", "100000",
        "protocol_streams", "100000",
        NULL,
    };
    static const char *const client[] = {
        "listen", "/ip4/127.0.0.1/tcp/0",
        "conns_out", "20000",
        "conns_high", "20000",
        "conns_per_peer", "20000",
        "fds", "20000",
        "streams_out", "100000",
        "streams_total", "100000",
        NULL,
    };
    /* clang-format on */
    struct run self = {.conn_count = (size_t)argument(argc, argv, 1, 10000),
                       .each = (size_t)argument(argc, argv, 2, 4)};
    struct remote remote;
    allow_descriptors(self.conn_count + 100);
    heap_count();
    remote_start(&remote, server, serve);
    host_start(&self.base, NULL, client);
    self.addr = remote.addr;
    self.conns = calloc(self.conn_count, sizeof(*self.conns));
    p2p_host_set_events(self.base.host, &host_events, &self);

    struct usage near = usage_of(&self.base), far = remote_usage(&remote);
    connect_all(&self);
    settle(&self.base);
    struct usage near_conns = usage_of(&self.base), far_conns = remote_usage(&remote);
    report("connection", "dialer", near, near_conns, self.conn_count);
    report("connection", "listener", far, far_conns, self.conn_count);
    open_all(&self);
    settle(&self.base);
    size_t streams = self.conn_count * self.each;
    report("stream", "dialer", near_conns, usage_of(&self.base), streams);
    report("stream", "listener", far_conns, remote_usage(&remote), streams);
    remote_stop(&remote);
    return 0;
}
