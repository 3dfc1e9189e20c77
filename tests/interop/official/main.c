/* interop-official transport|perf: one side of a test of libp2p/unified-testing. What to do is in
 * the environment, the report on stdout, everything else on stderr. Exit 0: it went as it should.
 */
#define _GNU_SOURCE
#include "app.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <p2p/uv.h>

enum {
    ITERATIONS_MAX = 100000,
};

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "%s: %s\n", what, value ? value : "not set");
    return false;
}

/* ---- the environment ---- */

/* What is not set, empty, or "null", as the test scripts write what they have not. */
static const char *value_of(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "null") != 0 ? value : NULL;
}

static bool truth_of(const char *name, bool fallback)
{
    const char *value = value_of(name);
    return value ? strcasecmp(value, "true") == 0 : fallback;
}

static bool number_of(const char *name, uint64_t fallback, uint64_t min, uint64_t max,
                      uint64_t *out)
{
    const char *value = value_of(name);
    char *end = NULL;
    *out = fallback;
    if (!value)
        return true;
    *out = strtoull(value, &end, 10);
    return (isdigit((unsigned char)*value) && !*end && *out >= min && *out <= max) ||
           complain(name, value);
}

static bool count_of(const char *name, int fallback, int max, int *out)
{
    uint64_t value = 0;
    bool ok = number_of(name, (uint64_t)fallback, 1, (uint64_t)max, &value);
    *out = (int)value;
    return ok;
}

static bool read_redis(struct settings *self)
{
    const char *addr = value_of("REDIS_ADDR"), *key = value_of("TEST_KEY");
    const char *colon = addr ? strrchr(addr, ':') : NULL;
    size_t host_len = colon ? (size_t)(colon - addr) : 0;
    if (!colon || host_len == 0 || host_len >= sizeof(self->redis_host) ||
        strlen(colon + 1) >= sizeof(self->redis_port))
        return complain("REDIS_ADDR", addr);
    if (!key || strlen(key) > 64)
        return complain("TEST_KEY", key);
    memcpy(self->redis_host, addr, host_len);
    strcpy(self->redis_port, colon + 1);
    snprintf(self->key, sizeof(self->key), "%s_listener_multiaddr", key);
    return true;
}

static bool read_settings(struct settings *self, const char *which)
{
    const uint64_t gib = 1024 * 1024 * 1024;
    int seconds = 0;
    *self = (struct settings){
        .perf = strcmp(which, "perf") == 0,
        .is_dialer = truth_of("IS_DIALER", false),
        .debug = truth_of("DEBUG", false),
        .transport = value_of("TRANSPORT"),
        .secure_channel = value_of("SECURE_CHANNEL"),
        .muxer = value_of("MUXER"),
        .listener_ip = value_of("LISTENER_IP") ? value_of("LISTENER_IP") : "0.0.0.0",
    };
    bool ok = read_redis(self);
    ok &= value_of("IS_DIALER") || complain("IS_DIALER", NULL);
    ok &= self->transport || complain("TRANSPORT", NULL);
    ok &= number_of("UPLOAD_BYTES", gib, 1, UINT64_MAX, &self->upload_bytes);
    ok &= number_of("DOWNLOAD_BYTES", gib, 1, UINT64_MAX, &self->download_bytes);
    ok &= count_of("UPLOAD_ITERATIONS", 10, ITERATIONS_MAX, &self->upload_iterations);
    ok &= count_of("DOWNLOAD_ITERATIONS", 10, ITERATIONS_MAX, &self->download_iterations);
    ok &= count_of("LATENCY_ITERATIONS", 100, ITERATIONS_MAX, &self->latency_iterations);
    ok &= count_of("TEST_TIMEOUT_SECS", 180, 24 * 3600, &seconds);
    self->timeout_ms = seconds * 1000;
    return ok;
}

/* ---- the host ---- */

/* Where to listen, by transport. */
static const struct {
    const char *transport, *rest;
} shapes[] = {
    {"tcp", "tcp/0"},
    {"ws", "tcp/0/ws"},
    {"wss", "tcp/0/tls/ws"},
    {"quic-v1", "udp/0/quic-v1"},
};

static const char *shape_of(const char *transport)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
        if (strcmp(shapes[i].transport, transport) == 0)
            return shapes[i].rest;
    return NULL;
}

static bool set(p2p_config *config, const char *name, const char *value)
{
    char why[512];
    if (!value || p2p_config_set(config, name, value, why, sizeof(why)) == 0)
        return true;
    return complain(name, why);
}

/* Any option of the library, as P2P_NAME: certificates for wss, above all. */
static bool set_from_environment(p2p_config *config)
{
    const p2p_option *option;
    bool ok = true;
    for (size_t i = 0; (option = p2p_option_at(i)); i++) {
        char name[P2P_OPTION_NAME_MAX + 4];
        snprintf(name, sizeof(name), "P2P_%s", option->name);
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        ok &= set(config, option->name, value_of(name));
    }
    return ok;
}

/* The address of a listener's certificate that is for a name says the name. */
static void add_name(const char *name, char *shape, size_t cap)
{
    if (name && strcmp(shape, "tcp/0/tls/ws") == 0)
        snprintf(shape, cap, "tcp/0/tls/sni/%s/ws", name);
}

static bool configure(p2p_config *config, const struct settings *settings)
{
    const char *found = shape_of(settings->transport);
    char shape[300], listen[512];
    if (!found)
        return complain("TRANSPORT", settings->transport);
    snprintf(shape, sizeof(shape), "%s", found);
    add_name(value_of("WSS_NAME"), shape, sizeof(shape));
    snprintf(listen, sizeof(listen), "/ip%d/%s/%s", strchr(settings->listener_ip, ':') ? 6 : 4,
             settings->listener_ip, shape);
    return set_from_environment(config) && set(config, "security", settings->secure_channel) &&
           set(config, "muxer", settings->muxer) && set(config, "services", "identify,ping,perf") &&
           (settings->is_dialer || set(config, "listen", listen));
}

static void log_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    char addr[P2P_MULTIADDR_TEXT_MAX] = "", peer[P2P_PEER_ID_TEXT_MAX] = "";
    p2p_multiaddr remote;
    const char *muxer = p2p_conn_muxer(conn);
    (void)host, (void)user;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, sizeof(addr));
    (void)p2p_peer_id_format(p2p_conn_peer(conn), peer, sizeof(peer));
    fprintf(stderr, "connected: %s/p2p/%s, %s, %s\n", addr, peer, p2p_conn_security(conn),
            muxer ? muxer : "streams of its own");
}

static void log_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn, (void)user;
    fprintf(stderr, "disconnected: %s\n", why->message);
}

static const p2p_host_events log_events = {
    .size = sizeof(log_events),
    .on_connected = log_connected,
    .on_disconnected = log_disconnected,
};

static bool open_host(struct app *app)
{
    p2p_error *why = NULL;
    p2p_config *config = p2p_config_new();
    bool ok = config && configure(config, &app->settings);
    if (ok && p2p_host_new(config, app->io, &app->host, &why) != 0)
        ok = complain("cannot start", why ? why->message : "out of memory");
    p2p_error_free(why);
    p2p_config_free(config);
    if (ok && app->settings.debug)
        p2p_host_set_events(app->host, &log_events, NULL);
    return ok;
}

/* ---- the two roles ---- */

/* An address that others can dial: not of loopback, unless that is all there is. */
static bool own_addr(const struct app *app, char *out, size_t out_cap)
{
    p2p_multiaddr addr;
    bool found = false;
    for (size_t i = 0; p2p_host_addr(app->host, i, &addr) == 0; i++) {
        char text[P2P_MULTIADDR_TEXT_MAX];
        bool loopback = p2p_multiaddr_format(&addr, text, sizeof(text)) < 0 ||
                        strncmp(text, "/ip4/127.", 9) == 0 || strncmp(text, "/ip6/::1/", 9) == 0;
        if (strlen(text) >= out_cap || (found && loopback))
            continue;
        strcpy(out, text);
        found = true;
        if (!loopback)
            break;
    }
    return found;
}

static bool start_listener(struct app *app)
{
    char addr[ADDR_MAX];
    const char *why;
    if (!own_addr(app, addr, sizeof(addr)))
        return complain("listening", "on no address");
    if (!redis_publish(&app->settings, addr, &why))
        return complain("redis", why);
    fprintf(stderr, "listening on %s\n", addr);
    return true;
}

static bool start_dialer(struct app *app)
{
    const char *why;
    if (!redis_await(&app->settings, app->target, sizeof(app->target), &why))
        return complain("redis", why);
    fprintf(stderr, "dialing %s\n", app->target);
    if (app->settings.perf)
        perf_start(app);
    else
        ping_start(app);
    return true;
}

/* ---- the end ---- */

static void on_closed(void *user, const p2p_error *why)
{
    struct app *app = user;
    (void)why;
    app->host = NULL;
    p2p_io_free(app->io);
}

void app_end(struct app *app, int exit_code)
{
    app->exit_code = exit_code;
    p2p_host_close(app->host, on_closed, app);
}

void app_fail(struct app *app, const char *what, const p2p_error *why)
{
    fprintf(stderr, "%s: %s\n", what, why ? why->message : "no reason given");
    for (size_t i = 0; why && i < why->attempt_count; i++)
        fprintf(stderr, "  %s: %s\n", why->attempts[i].addr, why->attempts[i].error);
    app_end(app, 1);
}

int main(int argc, char **argv)
{
    struct app app = {.exit_code = 1};
    if (argc != 2 || (strcmp(argv[1], "transport") != 0 && strcmp(argv[1], "perf") != 0)) {
        fprintf(stderr, "Usage: %s transport|perf; the rest is in the environment\n", argv[0]);
        return 2;
    }
    if (!read_settings(&app.settings, argv[1]) || uv_loop_init(&app.loop) != 0)
        return 1;
    app.io = p2p_io_uv(&app.loop);
    if (!app.io || !open_host(&app)) {
        p2p_io_free(app.io);
        uv_run(&app.loop, UV_RUN_DEFAULT);
        uv_loop_close(&app.loop);
        return 1;
    }
    if (!(app.settings.is_dialer ? start_dialer(&app) : start_listener(&app)))
        app_end(&app, 1);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    uv_loop_close(&app.loop);
    if (fflush(stdout) != 0)
        return 1;
    return app.exit_code;
}
