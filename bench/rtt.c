/* From dial to the first echoed byte, in round trips, in the simulator: 30 ms each way. Three is
 * the least over TCP: connect, the handshake's first two messages, its third with the first stream.
 *
 *   bench-rtt */
#include "bench.h"

#include <p2p/echo.h>
#include <p2p/sim.h>

enum {
    ONE_WAY_US = 30000,
    LIMIT_US = 10 * 1000 * 1000,
};

static p2p_host *make_host(p2p_io *io)
{
    p2p_error *err = NULL;
    p2p_host *host = NULL;
    char ip[64], listen[128];
    p2p_config *config = p2p_config_new();
    p2p_sim_address(io, 0, ip, sizeof(ip));
    snprintf(listen, sizeof(listen), "/ip4/%s/tcp/4001", ip);
    p2p_config_set(config, "listen", listen, NULL, 0);
    p2p_config_set(config, "services", "identify,ping,echo", NULL, 0);
    if (p2p_host_new(config, io, &host, &err) < 0) {
        fprintf(stderr, "bench-rtt: %s\n", err ? err->message : "memory");
        exit(1);
    }
    p2p_config_free(config);
    return host;
}

static void on_read(p2p_stream *stream, void *user)
{
    *(bool *)user = true;
    p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)user;
    if (why)
        fprintf(stderr, "bench-rtt: %s\n", why->message);
}

static const p2p_stream_events events = {sizeof(events), NULL, on_read, NULL, NULL, on_close};

static bool answered(void *user)
{
    return *(bool *)user;
}

/* Round trips until the byte is back, on a new connection or one that exists by then. */
static double round_trips(p2p_sim *sim, p2p_host *dialer, const char *addr)
{
    static const char *const protocol = P2P_ECHO_PROTOCOL;
    uint64_t start = p2p_sim_now_us(sim);
    bool back = false;
    p2p_stream *stream = p2p_host_open(dialer, addr, &protocol, 1, NULL, &events, &back);
    p2p_stream_write(stream, "x", 1);
    if (!p2p_sim_run_until(sim, answered, &back, LIMIT_US)) {
        fprintf(stderr, "bench-rtt: no answer\n");
        exit(1);
    }
    return (double)(p2p_sim_now_us(sim) - start) / (2 * ONE_WAY_US);
}

int main(void)
{
    p2p_sim *sim = p2p_sim_new(NULL);
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = ONE_WAY_US;
    p2p_sim_path(sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path);
    p2p_host *listener = make_host(p2p_sim_host(sim, NULL, 0));
    p2p_host *dialer = make_host(p2p_sim_host(sim, NULL, 0));
    p2p_multiaddr maddr;
    char addr[256];
    p2p_host_addr(listener, 0, &maddr);
    p2p_multiaddr_format(&maddr, addr, sizeof(addr));
    print("rtt.dial_to_echo", round_trips(sim, dialer, addr), "round trips");
    print("rtt.stream_to_echo", round_trips(sim, dialer, addr), "round trips");
    p2p_host_close(listener, NULL, NULL);
    p2p_host_close(dialer, NULL, NULL);
    p2p_sim_run(sim, LIMIT_US);
    p2p_sim_free(sim);
    return 0;
}
