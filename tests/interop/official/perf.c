/* The perf contract: uploads, downloads, and bytes there and back, each a stream of /perf/1.0.0 on
 * one connection. */
#define _GNU_SOURCE
#include "app.h"

#include <stdio.h>
#include <stdlib.h>

#include <p2p/perf.h>

enum {
    PHASES = 3,
};

struct phase {
    const char *name, *unit;
    uint64_t upload_bytes, download_bytes;
    int iterations, decimals;
    double *samples;
};

/* Static, as it lives until the loop has ended. */
static struct {
    struct app *app;
    struct phase phases[PHASES];
    int phase, iteration;
    uint64_t begun_us;
} perf;

static void report(void)
{
    printf("# Measurements from dialer\n");
    for (int i = 0; i < PHASES; i++) {
        const struct phase *phase = &perf.phases[i];
        stats_print(phase->name, phase->samples, phase->iterations, phase->decimals, phase->unit);
    }
}

static void forget(void)
{
    for (int i = 0; i < PHASES; i++)
        free(perf.phases[i].samples);
}

static void next(void);

static void on_done(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    struct app *app = user;
    struct phase *phase = &perf.phases[perf.phase];
    double us = (double)(uv_hrtime() / 1000 - perf.begun_us);
    (void)result;
    if (why) {
        app_fail(app, phase->name, why);
        forget();
        return;
    }
    uint64_t bytes = phase->upload_bytes + phase->download_bytes;
    bool throughput = phase->decimals == 2;
    phase->samples[perf.iteration++] = throughput ? (double)bytes * 8 / us / 1000 : us / 1000;
    next();
}

static void next(void)
{
    struct app *app = perf.app;
    while (perf.phase < PHASES && perf.iteration == perf.phases[perf.phase].iterations) {
        perf.phase++;
        perf.iteration = 0;
    }
    if (perf.phase == PHASES) {
        report();
        forget();
        app_end(app, 0);
        return;
    }
    const struct phase *phase = &perf.phases[perf.phase];
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = app->settings.timeout_ms;
    if (app->settings.debug && perf.iteration == 0)
        fprintf(stderr, "%s: %d iterations\n", phase->name, phase->iterations);
    perf.begun_us = uv_hrtime() / 1000;
    if (!p2p_perf_run(app->host, app->target, phase->upload_bytes, phase->download_bytes, &opts,
                      on_done, app)) {
        app_fail(app, "out of memory", NULL);
        forget();
    }
}

static void on_connected(void *user, const p2p_error *why)
{
    struct app *app = user;
    if (why) {
        app_fail(app, "cannot connect", why);
        forget();
        return;
    }
    next();
}

/* The handshake is no part of any sample. */
void perf_start(struct app *app)
{
    const struct settings *s = &app->settings;
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    perf.app = app;
    perf.phases[0] =
        (struct phase){"upload", "Gbps", s->upload_bytes, 0, s->upload_iterations, 2, NULL};
    perf.phases[1] =
        (struct phase){"download", "Gbps", 0, s->download_bytes, s->download_iterations, 2, NULL};
    perf.phases[2] = (struct phase){"latency", "ms", 1, 1, s->latency_iterations, 3, NULL};
    opts.timeout_ms = s->timeout_ms;
    for (int i = 0; i < PHASES; i++) {
        struct phase *phase = &perf.phases[i];
        phase->samples = calloc((size_t)phase->iterations, sizeof(*phase->samples));
        if (!phase->samples) {
            forget();
            app_fail(app, "out of memory", NULL);
            return;
        }
    }
    if (!p2p_host_connect(app->host, app->target, &opts, on_connected, app)) {
        forget();
        app_fail(app, "out of memory", NULL);
    }
}
