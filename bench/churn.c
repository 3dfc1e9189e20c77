/* Connections made, used and broken by both sides, on every transport, for as long as asked; every
 * few seconds all of them are let go, and what is then still held is counted. It must not grow.
 *
 *   bench-churn [SECONDS=20]
 *
 * One process with a server and eight clients. Exits with 1 if memory, descriptors or timers grew,
 * or if too little succeeded to mean anything. A job fails when another one takes its connection or
 * host away, which is the point. */
#include "bench.h"

#include "../tests/fds.h"

enum {
    CLIENTS = 8,
    AT_ONCE = 24,
    ADDRS_MAX = 16,
    EPOCH_MS = 3000,
    REST_MS = 1600, /* a goodbye may take a second */
    BYTES_MAX = 100000,
    SAMPLES_MAX = 4096,
};

/* How a connection ends. */
enum fate {
    CLIENT_CLOSES,
    SERVER_CLOSES,
    STREAM_RESET,
    LEFT_OPEN, /* until everything is let go */
    DIAL_CANCELLED,
    NOBODY_THERE,
    CLIENT_DIES, /* the host, and with it all that it has */
    FATES,
};

struct client {
    p2p_key *key;
    p2p_host *host; /* NULL: closing */
    p2p_io *io;
    bool tls;
    uint32_t running;
};

struct job {
    struct client *client;
    enum fate fate;
    p2p_op *op;
    uint64_t left, got;
    bool used;
};

struct sample {
    uint64_t heap, rss;
    size_t fds, timers;
};

static uv_loop_t loop;
static p2p_host *server;
static p2p_io *server_io;
static struct client clients[CLIENTS];
static char addrs[ADDRS_MAX][512];
static size_t addr_count;
static bool resting;
static uint32_t running, closing;
static uint64_t done_by_fate[FATES], failed, echoed_bytes, dice = 88172645463325252u;
static const char echo[] = "/p2p/echo/1.0.0";

static uint32_t roll(uint32_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 32) % sides;
}

static p2p_host *host_open(p2p_io **io, const p2p_key *key, const char *const *options)
{
    p2p_config *config = p2p_config_new();
    p2p_host *host = NULL;
    p2p_error *err = NULL;
    char why[300] = "";
    p2p_config_set_key(config, key);
    for (; *options; options += 2)
        if (p2p_config_set(config, options[0], options[1], why, sizeof(why)) < 0)
            break;
    *io = p2p_io_uv(&loop);
    if (*options || p2p_host_new(config, *io, &host, &err) < 0) {
        fprintf(stderr, "bench-churn: %s\n", err ? err->message : why);
        exit(2);
    }
    p2p_config_free(config);
    return host;
}

static void client_open(struct client *self)
{
    const char *const options[] = {
        "security", self->tls ? "tls" : "noise", "services", "identify", "conns_out", "1000", NULL};
    self->host = host_open(&self->io, self->key, options);
}

static void client_closed(void *user, const p2p_error *why)
{
    struct client *self = user;
    (void)why;
    p2p_io_free(self->io);
    closing--;
    client_open(self);
}

static void client_die(struct client *self)
{
    if (!self->host)
        return;
    closing++;
    p2p_host *host = self->host;
    self->host = NULL;
    p2p_host_close(host, client_closed, self);
}

/* ---- one job ---- */

static void job_over(struct job *self, bool ok)
{
    done_by_fate[self->fate] += ok;
    failed += !ok;
    echoed_bytes += self->got;
    self->client->running--;
    running--;
    free(self);
}

static void let_server_close(const struct client *client)
{
    p2p_conn *conn = p2p_host_conn(server, p2p_key_peer_id(client->key));
    if (conn)
        p2p_conn_close(conn);
}

static void write_more(p2p_stream *stream, void *user)
{
    static const uint8_t bytes[16384];
    struct job *self = user;
    while (self->left) {
        size_t n = self->left < sizeof(bytes) ? (size_t)self->left : sizeof(bytes);
        int64_t took = p2p_stream_write(stream, bytes, n);
        if (took <= 0)
            return;
        self->left -= (uint64_t)took;
    }
    p2p_stream_close_write(stream);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct job *self = user;
    size_t len;
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
    self->got += len;
    if (!self->used && self->fate == SERVER_CLOSES)
        let_server_close(self->client);
    else if (!self->used && self->fate == STREAM_RESET)
        p2p_stream_reset(stream, 7);
    else if (!self->used && self->fate == CLIENT_DIES)
        client_die(self->client);
    self->used = true;
}

static void on_eof(p2p_stream *stream, void *user)
{
    struct job *self = user;
    if (self->fate == CLIENT_CLOSES && p2p_stream_conn(stream))
        p2p_conn_close(p2p_stream_conn(stream));
    else if (self->fate != LEFT_OPEN)
        p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct job *self = user;
    (void)stream, (void)why;
    job_over(self, self->used);
}

static void on_connected(void *user, const p2p_error *why)
{
    struct job *self = user;
    job_over(self, why != NULL); /* cancelled, or nobody was there */
}

static const p2p_stream_events events = {
    sizeof(events), write_more, on_read, on_eof, write_more, on_close,
};

static void job_start(void)
{
    struct client *client = &clients[roll(CLIENTS)];
    if (!client->host)
        return;
    struct job *self = calloc(1, sizeof(*self));
    const char *protocol = echo, *target = addrs[roll((uint32_t)addr_count)];
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.flags = roll(3) ? P2P_DIAL_NEW_CONN : 0;
    opts.timeout_ms = 5000;
    if (!self)
        die("memory");
    self->client = client;
    self->fate = (enum fate)roll(FATES);
    if (self->fate == CLIENT_DIES && roll(8))
        self->fate = CLIENT_CLOSES;
    self->left = 1 + roll(BYTES_MAX);
    client->running++;
    running++;
    char gone[600];
    if (self->fate == NOBODY_THERE) {
        snprintf(gone, sizeof(gone), "/ip4/127.0.0.1/tcp/1%s", strstr(target, "/p2p/"));
        target = gone;
    }
    if (self->fate == DIAL_CANCELLED || self->fate == NOBODY_THERE) {
        opts.flags = P2P_DIAL_NEW_CONN;
        p2p_op *op = p2p_host_connect(client->host, target, &opts, on_connected, self);
        if (self->fate == DIAL_CANCELLED)
            p2p_op_cancel(op);
        return;
    }
    p2p_host_open(client->host, target, &protocol, 1, &opts, &events, self);
}

/* ---- rounds ---- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    for (int i = 0; !resting && i < 8 && running < AT_ONCE; i++)
        job_start();
}

static void on_alarm(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void run_ms(uint64_t ms)
{
    uv_timer_t timer;
    bool late = false;
    uv_timer_init(&loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_alarm, ms, 0);
    while (!late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void close_all(p2p_host *host)
{
    p2p_conn *conn;
    for (size_t i = 0; host && (conn = p2p_host_conn_at(host, i)); i++)
        p2p_conn_close(conn);
}

static uint64_t held_by(const p2p_host *host)
{
    return host->shard.pool.kept_bytes;
}

static struct sample rest(void)
{
    struct sample sample = {.rss = 0};
    resting = true;
    for (int i = 0; i < 50 && (running || closing); i++) {
        for (size_t c = 0; c < CLIENTS; c++)
            close_all(clients[c].host);
        run_ms(200);
    }
    if (running || closing) {
        fprintf(stderr, "bench-churn: %u jobs and %u hosts did not end\n", running, closing);
        exit(1);
    }
    close_all(server);
    run_ms(REST_MS);
    sample.heap = heap_bytes - held_by(server);
    sample.timers = server->shard.timers.count;
    for (size_t c = 0; c < CLIENTS; c++) {
        sample.heap -= held_by(clients[c].host);
        sample.timers += clients[c].host->shard.timers.count;
    }
    sample.rss = rss_bytes();
    sample.fds = fds_open();
    resting = false;
    return sample;
}

static void learn_addrs(void)
{
    p2p_multiaddr addr;
    while (addr_count < ADDRS_MAX && p2p_host_addr(server, addr_count, &addr) == 0) {
        p2p_multiaddr_format(&addr, addrs[addr_count], sizeof(addrs[addr_count]));
        addr_count++;
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median(const struct sample *samples, size_t count, size_t offset)
{
    uint64_t values[SAMPLES_MAX];
    for (size_t i = 0; i < count; i++)
        memcpy(&values[i], (const char *)&samples[i] + offset, sizeof(values[i]));
    qsort(values, count, sizeof(*values), by_value);
    return values[count / 2];
}

/* The first rounds fill tables and the allocator's own; what comes later is compared. */
static bool grew(const struct sample *samples, size_t count, const char *name, size_t offset,
                 uint64_t slack)
{
    size_t third = count / 3 ? count / 3 : 1;
    uint64_t early = median(samples + (count > 3 ? count / 3 : 0), third, offset);
    uint64_t late = median(samples + count - third, third, offset);
    char text[64];
    snprintf(text, sizeof(text), "churn.%s.early", name);
    print(text, (double)early, "");
    snprintf(text, sizeof(text), "churn.%s.late", name);
    print(text, (double)late, "");
    return late > early + slack;
}

int main(int argc, char **argv)
{
    static struct sample samples[SAMPLES_MAX];
    static const char *const names[FATES] = {"client_closes", "server_closes",  "stream_reset",
                                             "left_open",     "dial_cancelled", "nobody_there",
                                             "client_dies"};
    uint64_t seconds = argument(argc, argv, 1, 20);
    char unix_addr[64], listen[300];
    heap_count();
    uv_loop_init(&loop);
    snprintf(unix_addr, sizeof(unix_addr), "/unix/tmp/p2p-churn-%ld", (long)getpid());
    snprintf(listen, sizeof(listen), "/ip4/127.0.0.1/tcp/0,/ip6/::1/tcp/0/ws,/memory/0,%s%s",
             unix_addr,
#ifdef P2P_QUIC
             ",/ip4/127.0.0.1/udp/0/quic-v1"
#else
             ""
#endif
    );
    const char *const options[] = {"listen",         listen,  "services", "identify,ping,echo",
                                   "security",       "noise", "security", "tls",
                                   "conns_per_peer", "200",   "conns_in", "1000",
                                   "half_open",      "500",   NULL};
    p2p_key *key = NULL;
    p2p_key_generate(P2P_KEY_ED25519, &key);
    server = host_open(&server_io, key, options);
    p2p_key_free(key);
    for (size_t i = 0; i < CLIENTS; i++) {
        p2p_key_generate(P2P_KEY_ED25519, &clients[i].key);
        clients[i].tls = i % 3 == 2;
        client_open(&clients[i]);
    }
    learn_addrs();
    uv_timer_t ticker;
    uv_timer_init(&loop, &ticker);
    uv_timer_start(&ticker, on_tick, 1, 1);
    double end = now_s() + (double)seconds;
    size_t count = 0;
    while ((now_s() < end || count < 3) && count < SAMPLES_MAX) {
        run_ms(EPOCH_MS);
        samples[count++] = rest();
        const struct sample *s = &samples[count - 1];
        fprintf(stderr, "%6.0f s: heap %llu, resident %llu, descriptors %zu, timers %zu\n",
                now_s() - end + (double)seconds, (unsigned long long)s->heap,
                (unsigned long long)s->rss, s->fds, s->timers);
    }
    /* A host makes its buffers and sockets when it first needs them, and clients die now and then:
     * few samples say little. */
    bool few = count < 30;
    uint64_t mib = 1024 * 1024;
    bool bad = grew(samples, count, "heap", offsetof(struct sample, heap), few ? 8 * mib : mib);
    bad |= grew(samples, count, "rss", offsetof(struct sample, rss), few ? 16 * mib : 2 * mib);
    bad |= grew(samples, count, "descriptors", offsetof(struct sample, fds), few ? 3 * CLIENTS : 1);
    bad |= grew(samples, count, "timers", offsetof(struct sample, timers), few ? CLIENTS : 1);
    uint64_t worked = 0;
    for (size_t i = 0; i < FATES; i++) {
        char text[64];
        snprintf(text, sizeof(text), "churn.%s", names[i]);
        print(text, (double)done_by_fate[i], "");
        worked += done_by_fate[i];
        bad |= done_by_fate[i] == 0;
    }
    print("churn.failed", (double)failed, "");
    print("churn.echoed", (double)echoed_bytes, "bytes");
    bad |= failed > worked;
    return bad;
}
