/* Streams opened, echoed (one byte) and closed per second on one connection, loopback, one process
 * a side: one after the other, and 64 at once.
 *
 *   bench-streams [COUNT=20000] */
#include "bench.h"

#include <p2p/echo.h>

enum {
    AT_ONCE = 64,
};

struct run {
    struct bench_host base;
    const char *addr;
    uint64_t to_open, closed;
};

static void open_next(struct run *self);

static void on_read(p2p_stream *stream, void *user)
{
    size_t len;
    (void)user;
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct run *self = user;
    (void)stream;
    if (why) {
        fprintf(stderr, "bench-streams: %s\n", why->message);
        exit(1);
    }
    self->closed++;
    open_next(self);
}

static const p2p_stream_events events = {sizeof(events), NULL, on_read, NULL, NULL, on_close};

static void open_next(struct run *self)
{
    static const char *const protocol = P2P_ECHO_PROTOCOL;
    if (self->to_open == 0)
        return;
    self->to_open--;
    p2p_stream *stream =
        p2p_host_open(self->base.host, self->addr, &protocol, 1, NULL, &events, self);
    p2p_stream_write(stream, "x", 1);
    p2p_stream_close_write(stream);
}

static void measure(struct run *self, const char *name, uint64_t count, unsigned at_once)
{
    self->closed = 0;
    self->to_open = count;
    double start = now_s();
    for (unsigned i = 0; i < at_once; i++)
        open_next(self);
    host_until(&self->base, &self->closed, count);
    print(name, (double)count / (now_s() - start), "/s");
}

int main(int argc, char **argv)
{
    static const char *const server[] = {
        "listen", "/ip4/127.0.0.1/tcp/0", "services", "echo", "streams_per_protocol", "1000", NULL,
    };
    static const char *const client[] = {"services", "", NULL};
    uint64_t count = argument(argc, argv, 1, 20000);
    struct run self;
    struct remote remote;
    remote_start(&remote, server, NULL);
    host_start(&self.base, NULL, client);
    self.addr = remote.addr;
    measure(&self, "streams.warm_up", 100, 1);
    measure(&self, "streams.sequential", count, 1);
    measure(&self, "streams.64_at_once", count * 2, AT_ONCE);
    remote_stop(&remote);
    return 0;
}
