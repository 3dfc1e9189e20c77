/* The transport contract: how long the handshake and one round trip take, and a round trip alone.
 */
#define _GNU_SOURCE
#include "app.h"

#include <stdio.h>

#include <p2p/ping.h>

/* One at a time; static, as it lives until the loop has ended. */
static struct {
    struct app *app;
    uint64_t begun_us, handshake_us, rtt_us;
    int answered;
} ping;

static void on_ping(void *user, const p2p_ping_result *result)
{
    (void)user;
    if (result->why)
        return;
    if (ping.answered++ == 0)
        ping.handshake_us = p2p_host_now_us(ping.app->host) - ping.begun_us;
    ping.rtt_us = result->rtt_us;
}

static void on_done(void *user, const p2p_error *why)
{
    struct app *app = user;
    if (why || ping.answered == 0) {
        app_fail(app, "the listener did not answer", why);
        return;
    }
    printf("# Measurements from dialer\n"
           "latency:\n"
           "  handshake_plus_one_rtt: %.3f\n"
           "  ping_rtt: %.3f\n"
           "  unit: ms\n",
           (double)ping.handshake_us / 1000, (double)ping.rtt_us / 1000);
    app_end(app, 0);
}

/* The first ping opens the stream as well, so that the second is the round trip alone. */
void ping_start(struct app *app)
{
    p2p_ping_opts opts = P2P_PING_OPTS_INIT;
    opts.count = 2;
    opts.interval_ms = -1;
    opts.timeout_ms = opts.dial_timeout_ms = app->settings.timeout_ms;
    ping.app = app;
    ping.begun_us = uv_hrtime() / 1000;
    if (!p2p_ping_start(app->host, app->target, &opts, on_ping, on_done, app))
        app_fail(app, "out of memory", NULL);
}
