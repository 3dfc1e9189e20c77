/* What the transports and channels beside TCP and Noise carry: /perf/1.0.0 over TLS, WebSocket and
 * QUIC on loopback, one process a side, both ways, each against its limit of the same round.
 *
 *   bench-channels [MIB=256]
 *
 * The limit of TLS is AES-128-GCM over raw TCP, that of QUIC the same over UDP in trains, and that
 * of WebSocket what Noise carries over plain TCP. */
#include "limit_udp.h"

struct channel {
    const char *name, *listen, *security;
};

static const struct channel noise = {"noise", "/ip4/127.0.0.1/tcp/0", "noise"};
static const struct channel tls = {"tls", "/ip4/127.0.0.1/tcp/0", "tls"};
static const struct channel ws = {"ws", "/ip4/127.0.0.1/tcp/0/ws", "noise"};
static const struct channel quic = {"quic", "/ip4/127.0.0.1/udp/0/quic-v1", "noise"};

static uint64_t done;

static double round_of(const struct channel *channel, uint64_t bytes, bool download)
{
    const char *const server[] = {
        "listen", channel->listen, "services", "perf", "security", channel->security, NULL,
    };
    const char *const client[] = {"services", "", "security", channel->security, NULL};
    struct remote remote;
    struct bench_host self;
    remote_start(&remote, server, NULL);
    host_start(&self, NULL, client);
    done = 0;
    p2p_host_connect(self.host, remote.addr, NULL, bench_done, &done);
    host_until(&self, &done, 1);
    double begin = now_s();
    p2p_perf_run(self.host, remote.addr, download ? 0 : bytes, download ? bytes : 0, NULL,
                 bench_measured, &done);
    host_until(&self, &done, 2);
    double took = now_s() - begin;
    remote_stop(&remote);
    p2p_host_close(self.host, NULL, NULL);
    return took;
}

static void print_for(const struct channel *channel, bool download, const char *what, double value,
                      const char *unit)
{
    char name[64];
    snprintf(name, sizeof(name), "channels.%s.%s.%s", channel->name,
             download ? "download" : "upload", what);
    print(name, value, unit);
}

static void compare(const struct channel *channel, bool download, uint64_t mib, double limit)
{
    double ours = round_of(channel, mib << 20, download);
    print_for(channel, download, "limit", (double)mib / limit, "MiB/s");
    print_for(channel, download, "rate", (double)mib / ours, "MiB/s");
    print_for(channel, download, "ratio", limit / ours, "");
}

int main(int argc, char **argv)
{
    uint64_t mib = argument(argc, argv, 1, 256);
    for (int download = 0; download <= 1; download++) {
        compare(&tls, download, mib, limit_round(mib << 20, download, true));
        compare(&ws, download, mib, round_of(&noise, mib << 20, download));
        compare(&quic, download, mib, udp_round(mib << 20, download));
    }
    return 0;
}
