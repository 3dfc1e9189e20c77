/* Our test application for libp2p's own interoperability and performance tests, the repository
 * libp2p/unified-testing: see README.md beside this file. */
#ifndef P2P_OFFICIAL_APP_H
#define P2P_OFFICIAL_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <p2p/p2p.h>

enum {
    ADDR_MAX = 1024, /* characters of the address that the listener tells the dialer */
};

/* What the environment says. */
struct settings {
    bool perf; /* the first argument: which of the two contracts */
    bool is_dialer, debug;
    const char *transport, *secure_channel, *muxer, *listener_ip;
    char redis_host[256], redis_port[6], key[256]; /* of the value that both sides know */
    uint64_t upload_bytes, download_bytes;
    int upload_iterations, download_iterations, latency_iterations;
    int timeout_ms;
};

struct app {
    struct settings settings;
    uv_loop_t loop;
    p2p_io *io;
    p2p_host *host;
    char target[ADDR_MAX];
    int exit_code;
};

/* The dialer is done, or cannot go on: closes the host, which ends the loop. */
void app_end(struct app *app, int exit_code);
/* Says what went wrong, with every address tried, and ends with 1. */
void app_fail(struct app *app, const char *what, const p2p_error *why);

/* ping.c, perf.c: what the dialer measures. They print the report, and end the app. */
void ping_start(struct app *app);
void perf_start(struct app *app);

/* ---- redis.c: the one value that the sides share ---- */

/* Both wait until the server answers, at most timeout_ms. False: *why says what went wrong. */
bool redis_publish(const struct settings *settings, const char *value, const char **why);
/* Waits until the value is there. */
bool redis_await(const struct settings *settings, char *value, size_t cap, const char **why);

/* ---- stats.c ---- */

/* Sorts the samples, and prints them with their quartiles as the perf contract wants it. */
void stats_print(const char *name, double *samples, int count, int decimals, const char *unit);

#endif
