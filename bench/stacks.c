/* One stream on loopback over each stack of layers that TCP can carry, one process a side, both
 * ways, in turns: what WebSocket and TLS cost beside Noise over bare TCP.
 *
 *   bench-stacks [MIB=512] [STACK...]      (tcp-noise tcp-tls ws-noise ws-tls) */
#include "bench.h"

#include <p2p/perf.h>

static uint64_t done;

static void connected(void *user, const p2p_error *why)
{
    (void)user;
    if (why) {
        fprintf(stderr, "bench-stacks: %s\n", why->message);
        exit(1);
    }
    done++;
}

static void measured(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    (void)result;
    connected(user, why);
}

struct setup {
    const char *name, *listen, *security;
};

static const struct setup setups[] = {
    {"tcp-noise", "/ip4/127.0.0.1/tcp/0", "noise"},
    {"tcp-tls", "/ip4/127.0.0.1/tcp/0", "tls"},
    {"ws-noise", "/ip4/127.0.0.1/tcp/0/ws", "noise"},
    {"ws-tls", "/ip4/127.0.0.1/tcp/0/ws", "tls"},
};

static void print_for(const struct setup *setup, bool download, const char *what, double value,
                      const char *unit)
{
    char name[80];
    snprintf(name, sizeof(name), "stacks.%s.%s.%s", setup->name, download ? "download" : "upload",
             what);
    print(name, value, unit);
}

/* Seconds. */
static double round_of(const struct setup *setup, uint64_t bytes, bool download)
{
    const char *const server[] = {"listen",   setup->listen,   "services", "perf",
                                  "security", setup->security, NULL};
    const char *const client[] = {"services", "", "security", setup->security, NULL};
    struct remote remote;
    struct bench_host self;
    remote_start(&remote, server, NULL);
    host_start(&self, NULL, client);
    done = 0;
    p2p_host_connect(self.host, remote.addr, NULL, connected, NULL);
    host_until(&self, &done, 1);
    struct usage near = usage_of(&self), far = remote_usage(&remote);
    double begin = now_s();
    p2p_perf_run(self.host, remote.addr, download ? 0 : bytes, download ? bytes : 0, NULL, measured,
                 NULL);
    host_until(&self, &done, 2);
    double took = now_s() - begin;
    struct usage near_end = usage_of(&self), far_end = remote_usage(&remote);
    uint64_t near_copied = near_end.copied - near.copied, far_copied = far_end.copied - far.copied;
    double cpu_s = near_end.cpu_s - near.cpu_s + far_end.cpu_s - far.cpu_s;
    print_for(setup, download, "cpu", cpu_s * 1e9 / (double)bytes, "ns/byte");
    print_for(setup, download, "copied_sender",
              (double)(download ? far_copied : near_copied) / (double)bytes, "bytes/byte");
    print_for(setup, download, "copied_receiver",
              (double)(download ? near_copied : far_copied) / (double)bytes, "bytes/byte");
    remote_stop(&remote);
    p2p_host_close(self.host, NULL, NULL);
    return took;
}

static bool asked_for(int argc, char **argv, const char *name)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc <= 2;
}

int main(int argc, char **argv)
{
    uint64_t mib = argument(argc, argv, 1, 512);
    for (int download = 0; download < 2; download++) {
        double first = 0;
        for (size_t i = 0; i < sizeof(setups) / sizeof(*setups); i++) {
            if (i > 0 && !asked_for(argc, argv, setups[i].name))
                continue;
            double took = round_of(&setups[i], mib << 20, download);
            first = i ? first : took;
            print_for(&setups[i], download, "rate", (double)mib / took, "MiB/s");
            print_for(&setups[i], download, "ratio", first / took, "of tcp-noise");
        }
    }
    return 0;
}
