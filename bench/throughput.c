/* One stream on loopback, one process a side, both ways, against the limit; and how many bytes the
 * library copied for each byte, besides the cipher and the kernel.
 *
 *   bench-throughput [MIB=512] [tcp|quic]
 *
 * "write" is an application that writes from its own memory, which costs a copy; "blob" hands over
 * shared bytes (/perf/1.0.0 does), which costs none. */
#include "limit.h"

#define SINK   "/bench/sink"   /* counts, and answers one byte at the end */
#define SOURCE "/bench/source" /* sends as many bytes as it is told to, in decimal */

static uint64_t left, got, done;
static uint8_t chunk[65536];

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)user;
    if (why)
        fprintf(stderr, "bench-throughput: %s\n", why->message);
    done++;
}

static void discard(p2p_stream *stream, void *user)
{
    size_t len;
    (void)user;
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
    got += len;
}

static void send_left(p2p_stream *stream, void *user)
{
    (void)user;
    while (left) {
        size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        int64_t took = p2p_stream_write(stream, chunk, n);
        if (took < 0)
            return;
        left -= (uint64_t)took;
        if ((size_t)took < n)
            return;
    }
    p2p_stream_close_write(stream);
}

static void answer(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_write(stream, "k", 1);
    p2p_stream_close_write(stream);
}

static void read_amount(p2p_stream *stream, void *user)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    left = 0;
    for (size_t i = 0; i < len; i++)
        left = left * 10 + (uint64_t)(bytes[i] - '0');
    p2p_stream_consume(stream, len);
    send_left(stream, user);
}

/* The listener's ends, then the dialer's. */
static const p2p_stream_events sink = {sizeof(sink), NULL, discard, answer, NULL, on_close};
static const p2p_stream_events source = {
    sizeof(source), NULL, read_amount, NULL, send_left, on_close,
};
static const p2p_stream_events uploader = {
    sizeof(uploader), send_left, discard, NULL, send_left, on_close,
};
static const p2p_stream_events downloader = {
    sizeof(downloader), NULL, discard, NULL, NULL, on_close,
};

static void serve(struct bench_host *self)
{
    p2p_host_handle(self->host, SINK, &sink, NULL);
    p2p_host_handle(self->host, SOURCE, &source, NULL);
}

enum way {
    WRITE_UP,
    WRITE_DOWN,
    BLOB_UP,
    BLOB_DOWN,
};

static const char *const way_name[] = {"write.upload", "write.download", "blob.upload",
                                       "blob.download"};

static void start(struct bench_host *self, const char *addr, enum way way, uint64_t bytes)
{
    const char *protocol = way == WRITE_UP ? SINK : SOURCE;
    const p2p_stream_events *events = way == WRITE_UP ? &uploader : &downloader;
    if (way >= BLOB_UP) {
        p2p_perf_run(self->host, addr, way == BLOB_UP ? bytes : 0, way == BLOB_DOWN ? bytes : 0,
                     NULL, bench_measured, &done);
        return;
    }
    p2p_stream *stream = p2p_host_open(self->host, addr, &protocol, 1, NULL, events, NULL);
    left = bytes;
    if (way == WRITE_DOWN) {
        char amount[32];
        p2p_stream_write(
            stream, amount,
            (size_t)snprintf(amount, sizeof(amount), "%llu", (unsigned long long)bytes));
        p2p_stream_close_write(stream);
    }
}

static bool quic;

static void print_for(enum way way, const char *what, double value, const char *unit)
{
    char name[64];
    snprintf(name, sizeof(name), "throughput.%s%s.%s", quic ? "quic." : "", way_name[way], what);
    print(name, value, unit);
}

static double our_round(uint64_t bytes, enum way way)
{
    const char *const server[] = {
        "listen",   quic ? "/ip4/127.0.0.1/udp/0/quic-v1" : "/ip4/127.0.0.1/tcp/0",
        "services", "perf",
        NULL,
    };
    static const char *const client[] = {"services", "", NULL};
    struct remote remote;
    struct bench_host self;
    remote_start(&remote, server, serve);
    host_start(&self, NULL, client);
    done = 0;
    p2p_host_connect(self.host, remote.addr, NULL, bench_done, &done);
    host_until(&self, &done, 1);
    struct usage near = usage_of(&self), far = remote_usage(&remote);
    double begin = now_s();
    start(&self, remote.addr, way, bytes);
    host_until(&self, &done, 2);
    double took = now_s() - begin;
    bool up = way == WRITE_UP || way == BLOB_UP;
    double near_copied = (double)(usage_of(&self).copied - near.copied) / (double)bytes;
    double far_copied = (double)(remote_usage(&remote).copied - far.copied) / (double)bytes;
    print_for(way, "copied", near_copied + far_copied, "bytes/byte");
    print_for(way, "copied_sender", up ? near_copied : far_copied, "bytes/byte");
    print_for(way, "copied_receiver", up ? far_copied : near_copied, "bytes/byte");
    remote_stop(&remote);
    p2p_host_close(self.host, NULL, NULL);
    return took;
}

int main(int argc, char **argv)
{
    uint64_t mib = argument(argc, argv, 1, 512);
    quic = argc > 2 && strcmp(argv[2], "quic") == 0;
    memset(chunk, 1, sizeof(chunk)); /* an untouched page would be the one zero page, in cache */
    for (enum way way = WRITE_UP; way <= BLOB_DOWN; way++) {
        bool download = way == WRITE_DOWN || way == BLOB_DOWN;
        double limit = limit_round(mib << 20, download, false);
        double ours = our_round(mib << 20, way);
        print_for(way, "limit", (double)mib / limit, "MiB/s");
        print_for(way, "rate", (double)mib / ours, "MiB/s");
        print_for(way, "ratio", limit / ours, "");
    }
    return 0;
}
