/* A thousand hosts in one process, in a world that replays: each pings a few others, with the same
 * hash on every machine. Arguments: hosts, peers of each, pings of each. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <p2p/ping.h>
#include <p2p/sim.h>

struct world {
    long left, good, bad; /* what is not done yet; pings that came back; pings that did not */
};

static void on_ping(void *user, const p2p_ping_result *result)
{
    *(result->why ? &((struct world *)user)->bad : &((struct world *)user)->good) += 1;
}

static void on_done(void *user, const p2p_error *why)
{
    (void)why;
    ((struct world *)user)->left--;
}

static bool is_over(void *user)
{
    return ((struct world *)user)->left == 0;
}

/* Any 32 bytes are a secp256k1 key: here the host's number, so that runs replay. */
static p2p_host *host_new(p2p_sim *sim, int i)
{
    uint8_t secret[36] = {8, 2, 18, 32, 1, [34] = (uint8_t)(i >> 8), (uint8_t)i};
    char ip[64], listen[100];
    p2p_io *io = p2p_sim_host(sim, NULL, 0);
    p2p_config *config = p2p_config_new();
    p2p_key *key;
    p2p_host *host;
    p2p_sim_address(io, 0, ip, sizeof(ip));
    snprintf(listen, sizeof(listen), "/ip4/%s/tcp/4001", ip);
    p2p_config_set(config, "listen", listen, NULL, 0);
    if (p2p_key_decode(secret, sizeof(secret), &key) < 0 || p2p_config_set_key(config, key) < 0 ||
        p2p_host_new(config, io, &host, NULL) < 0)
        exit(1);
    p2p_config_free(config);
    p2p_key_free(key);
    return host;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atoi(argv[1]) : 1000, peers = argc > 2 ? atoi(argv[2]) : 3;
    p2p_sim_options options = {sizeof(options), 1, true, 0}; /* seed 1, cheap ciphers */
    p2p_ping_opts pings = {sizeof(pings), argc > 3 ? atoi(argv[3]) : 3, 0, 0, 0, 0};
    p2p_sim *sim = p2p_sim_new(&options);
    p2p_host **hosts = calloc((size_t)count, sizeof(p2p_host *));
    struct world world = {count * peers, 0, 0};
    for (long i = 0; i < count; i++)
        hosts[i] = host_new(sim, (int)i);
    for (long i = 0; i < count * peers; i++) {
        char to[P2P_MULTIADDR_TEXT_MAX];
        p2p_multiaddr addr;
        long step = 1 + i % peers;
        p2p_host_addr(hosts[(i / peers + step * step) % count], 0, &addr);
        p2p_multiaddr_format(&addr, to, sizeof(to));
        p2p_ping_start(hosts[i / peers], to, &pings, on_ping, on_done, &world);
    }
    p2p_sim_run_until(sim, is_over, &world, UINT64_C(3600) * 1000000);
    for (long i = 0; i < count; i++, world.left++)
        p2p_host_close(hosts[i], on_done, &world);
    (void)p2p_sim_run_until(sim, is_over, &world, 5000000);
    printf("%ld hosts, %ld pings, %ld lost, %.1f virtual s, %llu events, %.1f s, hash %016llx\n",
           count, world.good, world.bad, (double)p2p_sim_now_us(sim) / 1e6,
           (unsigned long long)p2p_sim_events(sim), (double)clock() / CLOCKS_PER_SEC,
           (unsigned long long)p2p_sim_hash(sim));
    p2p_sim_free(sim);
    free(hosts);
    return world.left || world.bad;
}
