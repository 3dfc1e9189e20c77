/* The services that come with the library, between whole hosts in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/pair.h"

#include <p2p/echo.h>
#include <p2p/identify.h>
#include <p2p/perf.h>
#include <p2p/ping.h>

static const char *const all_services[] = {"services=identify,ping,perf,echo", NULL};
static const char *const no_services[] = {"services=", NULL};

/* ---- the list of services ---- */

static void test_services_are_named(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, no_services, all_services);
    assert_null(p2p_host_protocol(p.a, 0));
    static const char *const names[] = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0",
                                        "/perf/1.0.0", "/p2p/echo/1.0.0"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(p2p_host_protocol(p.b, i), names[i]);
    assert_null(p2p_host_protocol(p.b, 5));
    assert_int_equal(p2p_ping_serve(p.b), P2P_EEXIST);
    assert_int_equal(p2p_echo_serve(p.b), P2P_EEXIST);
    assert_int_equal(p2p_perf_serve(p.b), P2P_EEXIST);
    assert_int_equal(p2p_identify_serve(p.b), P2P_EEXIST);
    world_fini(&p.world);
}

static void test_unknown_service(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, WORLD_SIM, 1, false);
    p2p_io *io = p2p_sim_host(world.sim, NULL, 0);
    p2p_config *config = p2p_config_new();
    assert_int_equal(p2p_config_set(config, "services", "ping, identfy", NULL, 0), 0);
    p2p_host *host = NULL;
    p2p_error *err = NULL;
    assert_int_equal(p2p_host_new(config, io, &host, &err), P2P_ENOENT);
    assert_null(host);
    assert_int_equal(err->code, P2P_ENOENT);
    assert_non_null(strstr(err->message, "\"identfy\""));
    p2p_error_free(err);
    p2p_config_free(config);
    p2p_io_free(io);
    world_fini(&world);
}

/* ---- ping ---- */

struct pings {
    struct end end;
    p2p_host *host;
    p2p_ping *ping;
    uint64_t count, stop_after;
    uint64_t rtt_us[16], at_us[16];
    int code[16];
};

static void on_ping(void *user, const p2p_ping_result *result)
{
    struct pings *self = user;
    assert_int_equal(self->end.calls, 0);
    assert_int_equal(result->seq, self->count);
    self->rtt_us[self->count] = result->rtt_us;
    self->at_us[self->count] = p2p_host_now_us(self->host);
    self->code[self->count] = result->why ? result->why->code : 0;
    self->count++;
    if (self->stop_after == self->count)
        p2p_ping_stop(self->ping);
}

static void pings_start(struct pings *self, p2p_host *host, const char *target,
                        const p2p_ping_opts *opts)
{
    self->host = self->end.host = host;
    self->ping = p2p_ping_start(host, target, opts, on_ping, on_end, self);
    assert_non_null(self->ping);
    assert_int_equal(self->end.calls, 0);
}

static void test_ping_measures_the_round_trip(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    pair_init(&p, NULL, NULL);
    pings_start(&pings, p.a, p.addr, NULL);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.end.code, 0);
    assert_int_equal(pings.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pings.code[i], 0);
        assert_int_equal(pings.rtt_us[i], 60000);
        assert_int_equal(pings.at_us[i], pings.at_us[0] + (uint64_t)i * 1000000);
    }
    world_run(&p.world, 2000);
    assert_int_equal(pings.end.calls, 1);
    world_fini(&p.world);
}

static void test_ping_without_pause(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    const p2p_ping_opts opts = {.size = sizeof(opts), .count = 16, .interval_ms = -1};
    pair_init(&p, NULL, NULL);
    pings_start(&pings, p.a, p.addr, &opts);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.count, 16);
    for (int i = 1; i < 16; i++)
        assert_int_equal(pings.at_us[i] - pings.at_us[i - 1], 60000);
    world_fini(&p.world);
}

static void test_ping_of_nobody(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    pair_init(&p, NULL, NULL);
    p2p_sim_refuse(p.world.io[1], true);
    pings_start(&pings, p.a, p.addr, NULL);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.end.code, P2P_ECONN);
    assert_int_equal(pings.end.attempts, 1);
    assert_int_equal(pings.count, 0);
    world_fini(&p.world);
}

static void test_ping_of_one_who_does_not_serve_it(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    pair_init(&p, NULL, no_services);
    pings_start(&pings, p.a, p.addr, NULL);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.end.code, P2P_ENOPROTO);
    world_fini(&p.world);
}

/* A lost reply is a result, not the end; when the remote is back, so are the replies. */
static void test_ping_through_an_outage(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    const p2p_ping_opts opts = {.size = sizeof(opts), .count = 8, .timeout_ms = 500};
    pair_init(&p, NULL, NULL);
    pings_start(&pings, p.a, p.addr, &opts);
    world_run(&p.world, 700);
    assert_int_equal(pings.count, 1);
    p2p_sim_blackhole(p.world.io[1], true);
    world_run(&p.world, 2000);
    p2p_sim_blackhole(p.world.io[1], false);
    assert_true(world_until(&p.world, ended, &pings.end, 30000));
    assert_int_equal(pings.end.code, 0);
    assert_int_equal(pings.count, 8);
    assert_int_equal(pings.code[0], 0);
    assert_int_equal(pings.code[1], P2P_ETIMEDOUT);
    assert_int_equal(pings.code[2], P2P_ETIMEDOUT);
    assert_int_equal(pings.code[7], 0);
    assert_int_equal(pings.rtt_us[7], 60000);
    world_fini(&p.world);
}

static void test_ping_survives_its_connection(void **state)
{
    (void)state;
    struct pair p;
    struct pings pings = {0};
    const p2p_ping_opts opts = {.size = sizeof(opts), .count = 4};
    pair_init(&p, NULL, NULL);
    pings_start(&pings, p.a, p.addr, &opts);
    world_run(&p.world, 700);
    assert_int_equal(pings.count, 1);
    p2p_conn_close(p2p_host_conn(p.a, p2p_host_peer(p.b)));
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pings.code[i], 0);
    world_fini(&p.world);
}

static void test_ping_stops_in_its_callback(void **state)
{
    (void)state;
    for (uint64_t after = 1; after <= 3; after++) {
        struct pair p;
        struct pings pings = {.stop_after = after};
        pair_init(&p, NULL, NULL);
        pings_start(&pings, p.a, p.addr, NULL);
        assert_true(world_until(&p.world, ended, &pings.end, 10000));
        world_run(&p.world, 5000);
        assert_int_equal(pings.count, after);
        assert_int_equal(pings.end.calls, 1);
        assert_int_equal(pings.end.code, P2P_ECANCELED);
        world_fini(&p.world);
    }
}

/* At every moment of a run: done comes once, and nothing after it. */
static void test_ping_stopped_or_host_closed_at_any_time(void **state)
{
    (void)state;
    for (int at_ms = 0; at_ms < 2400; at_ms += 37) {
        struct pair p;
        struct pings pings = {0};
        pair_init(&p, NULL, NULL);
        pings_start(&pings, p.a, p.addr, NULL);
        world_run(&p.world, at_ms);
        if (pings.end.calls == 0) {
            if (at_ms % 2) {
                p2p_ping_stop(pings.ping);
                p2p_ping_stop(pings.ping);
                assert_true(world_until(&p.world, ended, &pings.end, 20));
            } else {
                p2p_host_close(p.a, world_closed, &p.world);
                p.world.host[0] = NULL;
                p.world.closed--; /* world_fini counts it as closed */
                assert_true(world_until(&p.world, ended, &pings.end, 2000));
            }
            assert_int_equal(pings.end.code, P2P_ECANCELED);
        }
        uint64_t count = pings.count;
        world_run(&p.world, 5000);
        assert_int_equal(pings.end.calls, 1);
        assert_int_equal(pings.count, count);
        world_fini(&p.world);
    }
}

static void lie_read(p2p_stream *stream, void *user)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    uint8_t copy[64] = {0};
    assert_int_equal(len, 32);
    memcpy(copy, bytes, len);
    p2p_stream_consume(stream, len);
    copy[31] ^= *(uint8_t *)user;
    p2p_stream_write(stream, copy, *(uint8_t *)user ? 32 : 33);
}

static void test_ping_compares_the_bytes(void **state)
{
    (void)state;
    static const p2p_stream_events lying = {
        .size = sizeof(lying), .on_read = lie_read, .on_close = ignore_close};
    for (int kind = 0; kind < 2; kind++) {
        uint8_t flip = (uint8_t)kind;
        struct pair p;
        struct pings pings = {0};
        pair_init(&p, NULL, no_services);
        assert_int_equal(p2p_host_handle(p.b, P2P_PING_PROTOCOL, &lying, &flip), 0);
        pings_start(&pings, p.a, p.addr, NULL);
        assert_true(world_until(&p.world, ended, &pings.end, 10000));
        assert_int_equal(pings.count, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(pings.code[i], P2P_EPROTO);
        world_fini(&p.world);
    }
}

static void test_I13_two_ping_streams_a_peer(void **state)
{
    (void)state;
    struct pair p;
    struct raw raw[5] = {{0}};
    pair_init(&p, NULL, NULL);
    connect_pair(&p);
    for (int i = 0; i < 5; i++) {
        raw_dial(&raw[i], p.a, p.addr, P2P_PING_PROTOCOL);
        p2p_stream_write(raw[i].stream, "0123456789abcdef0123456789abcdef", 32);
    }
    world_run(&p.world, 1000);
    int served = 0;
    for (int i = 0; i < 5; i++) {
        served += raw[i].got == 32;
        assert_true(raw[i].got == 32 || raw[i].closed);
    }
    assert_int_equal(served, 2);
    for (int i = 0; i < 5; i++)
        if (!raw[i].closed)
            p2p_stream_close(raw[i].stream);
    world_run(&p.world, 1000);
    struct raw again = {0};
    raw_dial(&again, p.a, p.addr, P2P_PING_PROTOCOL);
    p2p_stream_write(again.stream, "0123456789abcdef0123456789abcdef+half", 37);
    world_run(&p.world, 1000);
    assert_int_equal(again.got, 32);
    p2p_stream_close_write(again.stream);
    assert_true(world_until(&p.world, raw_is_closed, &again, 1000));
    assert_int_equal(again.code, 0);
    assert_int_equal(again.got, 32);
    world_fini(&p.world);
}

/* A flood that reads nothing of what comes back fills its own windows, and is then served whole. */
static void test_I13_a_flood_waits_for_its_reader(void **state)
{
    (void)state;
    struct pair p;
    struct raw flood = {.paused = true};
    struct pings pings = {0};
    static uint8_t chunk[32 * 1000];
    for (size_t i = 0; i < sizeof(chunk); i++)
        chunk[i] = (uint8_t)(i * 7);
    pair_init(&p, NULL, NULL);
    raw_dial(&flood, p.a, p.addr, P2P_PING_PROTOCOL);
    size_t sent = 0;
    for (int i = 0; i < 200; i++) {
        size_t at = sent % sizeof(chunk);
        int64_t taken = p2p_stream_write(flood.stream, chunk + at, sizeof(chunk) - at);
        assert_true(taken >= 0);
        sent += (size_t)taken;
        world_run(&p.world, 20);
    }
    assert_true(sent > 700 * 1024 && sent < 1200 * 1024); /* its queue, two windows, ours */
    pings_start(&pings, p.a, p.addr, NULL);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.rtt_us[2], 60000);
    flood.paused = false;
    p2p_stream_resume(flood.stream);
    p2p_stream_close_write(flood.stream);
    assert_true(world_until(&p.world, raw_is_closed, &flood, 20000));
    assert_int_equal(flood.code, 0);
    assert_int_equal(flood.got, sent / 32 * 32);
    assert_memory_equal(flood.first, chunk, sizeof(flood.first));
    world_fini(&p.world);
}

/* As above, when the end comes before the server could write back everything. */
static void test_I13_pings_are_returned_after_the_end(void **state)
{
    (void)state;
    struct pair p;
    struct raw flood = {.paused = true};
    static uint8_t bytes[700 * 1024 + 31];
    pair_init(&p, NULL, NULL);
    raw_dial(&flood, p.a, p.addr, P2P_PING_PROTOCOL);
    size_t sent = 0;
    while (sent < sizeof(bytes)) {
        sent += (size_t)p2p_stream_write(flood.stream, bytes + sent, sizeof(bytes) - sent);
        world_run(&p.world, 500);
    }
    p2p_stream_close_write(flood.stream);
    world_run(&p.world, 5000);
    assert_false(flood.eof);
    flood.paused = false;
    p2p_stream_resume(flood.stream);
    assert_true(world_until(&p.world, raw_is_closed, &flood, 5000));
    assert_int_equal(flood.code, 0);
    assert_int_equal(flood.got, 700 * 1024);
    world_fini(&p.world);
}

/* A queue that splits payloads wherever it can. */
static void test_pings_through_a_short_queue(void **state)
{
    (void)state;
    static const uint8_t bytes[32 * 5 + 7] = {1, 2, 3};
    for (int max = 30; max < 70; max += 3) {
        struct pair p;
        struct raw raw = {0};
        char option[40];
        const char *options[] = {"services=ping", option, NULL};
        snprintf(option, sizeof(option), "stream_send_max=%d", max);
        pair_init(&p, NULL, options);
        raw_dial(&raw, p.a, p.addr, P2P_PING_PROTOCOL);
        assert_int_equal(p2p_stream_write(raw.stream, bytes, sizeof(bytes)), sizeof(bytes));
        p2p_stream_close_write(raw.stream);
        assert_true(world_until(&p.world, raw_is_closed, &raw, 5000));
        assert_int_equal(raw.code, 0);
        assert_int_equal(raw.got, 32 * 5);
        assert_memory_equal(raw.first, bytes, sizeof(raw.first));
        world_fini(&p.world);
    }
}

static void count_open(p2p_stream *stream, void *user)
{
    (void)stream;
    ++*(int *)user;
}

static void count_read(p2p_stream *stream, void *user)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    (void)user;
    p2p_stream_write(stream, bytes, len);
    p2p_stream_consume(stream, len);
}

static void test_ping_keeps_its_stream(void **state)
{
    (void)state;
    static const p2p_stream_events counting = {.size = sizeof(counting),
                                               .on_open = count_open,
                                               .on_read = count_read,
                                               .on_close = ignore_close};
    struct pair p;
    int streams = 0;
    struct pings pings = {0};
    const p2p_ping_opts opts = {.size = sizeof(opts), .timeout_ms = 100, .interval_ms = 3000};
    pair_init(&p, NULL, no_services);
    assert_int_equal(p2p_host_handle(p.b, P2P_PING_PROTOCOL, &counting, &streams), 0);
    pings_start(&pings, p.a, p.addr, &opts);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.count, 3);
    assert_int_equal(pings.code[2], 0);
    assert_int_equal(streams, 1);
    world_fini(&p.world);
}

static void once_read(p2p_stream *stream, void *user)
{
    count_read(stream, user);
    p2p_stream_close(stream);
}

/* A server that ends the stream while nothing is under way has not failed. */
static void test_ping_of_a_server_that_answers_once(void **state)
{
    (void)state;
    static const p2p_stream_events once = {.size = sizeof(once),
                                           .on_open = count_open,
                                           .on_read = once_read,
                                           .on_close = ignore_close};
    struct pair p;
    int streams = 0;
    struct pings pings = {0};
    pair_init(&p, NULL, no_services);
    assert_int_equal(p2p_host_handle(p.b, P2P_PING_PROTOCOL, &once, &streams), 0);
    pings_start(&pings, p.a, p.addr, NULL);
    assert_true(world_until(&p.world, ended, &pings.end, 10000));
    assert_int_equal(pings.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pings.code[i], 0);
        assert_int_equal(pings.rtt_us[i], 60000);
    }
    assert_int_equal(streams, 3);
    world_fini(&p.world);
}

static void test_ping_server_ends_idle_streams(void **state)
{
    (void)state;
    struct pair p;
    struct raw raw = {0};
    pair_init(&p, NULL, NULL);
    raw_dial(&raw, p.a, p.addr, P2P_PING_PROTOCOL);
    world_run(&p.world, 59000);
    assert_false(raw.closed);
    p2p_stream_write(raw.stream, "0123456789abcdef0123456789abcdef", 32);
    world_run(&p.world, 59000);
    assert_false(raw.closed);
    assert_int_equal(raw.got, 32);
    world_run(&p.world, 2000);
    assert_true(raw.closed);
    world_fini(&p.world);
}

/* ---- echo ---- */

static void test_echo_of_a_mib(void **state)
{
    (void)state;
    struct pair p;
    struct raw raw = {0};
    static uint8_t bytes[1 << 20];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + 5);
    pair_init(&p, NULL, all_services);
    raw_dial(&raw, p.a, p.addr, P2P_ECHO_PROTOCOL);
    size_t sent = 0;
    while (sent < sizeof(bytes)) {
        int64_t taken = p2p_stream_write(raw.stream, bytes + sent, sizeof(bytes) - sent);
        assert_true(taken >= 0);
        sent += (size_t)taken;
        raw.paused = sent > 300000 && sent < 900000; /* a slow reader loses nothing */
        p2p_stream_resume(raw.stream);
        world_run(&p.world, 10);
    }
    world_run(&p.world, 1000);
    assert_int_equal(raw.got, sizeof(bytes));
    assert_false(raw.eof);
    p2p_stream_close_write(raw.stream);
    assert_true(world_until(&p.world, raw_is_closed, &raw, 1000));
    assert_true(raw.eof);
    assert_int_equal(raw.code, 0);
    assert_int_equal(raw.got, sizeof(bytes));
    assert_memory_equal(raw.first, bytes, sizeof(raw.first));
    world_fini(&p.world);
}

/* Our end arrives while the server can write back only a part of what it was sent: a window and a
 * queue full of it. */
static void test_echo_delivers_after_the_end(void **state)
{
    (void)state;
    struct pair p;
    struct raw raw = {.paused = true};
    static uint8_t bytes[700 * 1024];
    pair_init(&p, NULL, all_services);
    raw_dial(&raw, p.a, p.addr, P2P_ECHO_PROTOCOL);
    size_t sent = 0;
    while (sent < sizeof(bytes)) {
        sent += (size_t)p2p_stream_write(raw.stream, bytes + sent, sizeof(bytes) - sent);
        world_run(&p.world, 500);
    }
    p2p_stream_close_write(raw.stream);
    world_run(&p.world, 5000);
    assert_false(raw.eof);
    raw.paused = false;
    p2p_stream_resume(raw.stream);
    assert_true(world_until(&p.world, raw_is_closed, &raw, 5000));
    assert_int_equal(raw.code, 0);
    assert_int_equal(raw.got, sent);
    world_fini(&p.world);
}

/* ---- perf ---- */

struct run {
    p2p_perf_result result;
    int calls, code;
};

static void on_perf(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    struct run *run = user;
    run->calls++;
    run->result = *result;
    run->code = why ? why->code : 0;
}

static bool ran(void *user)
{
    return ((struct run *)user)->calls > 0;
}

static void perf_of(uint64_t upload_bytes, uint64_t download_bytes, uint64_t rate, struct run *run)
{
    struct pair p;
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    pair_init(&p, NULL, all_services);
    path.latency_us = 30000;
    path.rate = rate;
    path.flight_bytes = 8 << 20;
    assert_int_equal(p2p_sim_path(p.world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path), 0);
    *run = (struct run){0};
    assert_non_null(p2p_perf_run(p.a, p.addr, upload_bytes, download_bytes, NULL, on_perf, run));
    assert_true(world_until(&p.world, ran, run, 60000));
    world_run(&p.world, 100);
    assert_int_equal(run->calls, 1);
    assert_int_equal(run->code, 0);
    assert_int_equal(run->result.upload_bytes, upload_bytes);
    assert_int_equal(run->result.download_bytes, download_bytes);
    assert_int_equal(run->result.total_us, run->result.upload_us + run->result.download_us);
    if (upload_bytes == 0)
        assert_int_equal(run->result.upload_us, 0);
    else
        assert_true(run->result.upload_us >= 60000);
    world_fini(&p.world);
}

static void test_perf_moves_what_was_asked(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 65535, 65536, 65537, 5000000};
    struct run run;
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < 6; k++) {
            perf_of(sizes[i], sizes[k], 0, &run);
            assert_true(run.result.total_us >= 60000);
        }
    }
}

static void test_perf_measures_the_rate(void **state)
{
    (void)state;
    struct run run;
    perf_of(10 << 20, 5 << 20, 10 << 20, &run);
    assert_in_range(run.result.upload_us, 1000000, 1400000);
    assert_in_range(run.result.download_us, 450000, 700000);
}

struct bad_server {
    size_t answer;
};

static void bad_eof(p2p_stream *stream, void *user)
{
    const struct bad_server *server = user;
    static const uint8_t bytes[2000];
    p2p_stream_write(stream, bytes, server->answer);
    p2p_stream_close_write(stream);
}

static void test_perf_of_a_server_that_miscounts(void **state)
{
    (void)state;
    static const p2p_stream_events bad = {
        .size = sizeof(bad), .on_eof = bad_eof, .on_close = ignore_close};
    static const struct {
        size_t answer;
        int code;
    } cases[] = {{999, P2P_ETRUNCATED}, {1000, 0}, {1001, P2P_EPROTO}, {0, P2P_ETRUNCATED}};
    for (size_t i = 0; i < 4; i++) {
        struct pair p;
        struct run run = {0};
        struct bad_server server = {cases[i].answer};
        pair_init(&p, NULL, no_services);
        assert_int_equal(p2p_host_handle(p.b, P2P_PERF_PROTOCOL, &bad, &server), 0);
        assert_non_null(p2p_perf_run(p.a, p.addr, 10, 1000, NULL, on_perf, &run));
        assert_true(world_until(&p.world, ran, &run, 5000));
        assert_int_equal(run.code, cases[i].code);
        world_fini(&p.world);
    }
}

static void early_open(p2p_stream *stream, void *user)
{
    bad_eof(stream, user);
}

static void test_perf_of_a_server_that_does_not_wait(void **state)
{
    (void)state;
    static const p2p_stream_events early = {
        .size = sizeof(early), .on_open = early_open, .on_close = ignore_close};
    for (size_t answer = 0; answer <= 1000; answer += 1000) {
        struct pair p;
        struct run run = {0};
        struct bad_server server = {answer};
        pair_init(&p, NULL, no_services);
        assert_int_equal(p2p_host_handle(p.b, P2P_PERF_PROTOCOL, &early, &server), 0);
        assert_non_null(p2p_perf_run(p.a, p.addr, 1 << 30, answer, NULL, on_perf, &run));
        assert_true(world_until(&p.world, ran, &run, 5000));
        assert_int_equal(run.code, answer ? P2P_EPROTO : P2P_ETRUNCATED);
        world_fini(&p.world);
    }
}

static void test_perf_ends(void **state)
{
    (void)state;
    struct pair p;
    struct run run = {0}, stopped = {0}, stuck = {0}, unserved = {0};
    p2p_perf_result progress;
    pair_init(&p, NULL, all_services);
    p2p_perf *perf = p2p_perf_run(p.a, p.addr, UINT64_MAX, UINT64_MAX, NULL, on_perf, &stopped);
    p2p_perf_progress(perf, &progress);
    assert_int_equal(progress.total_us, 0);
    world_run(&p.world, 2000);
    p2p_perf_progress(perf, &progress);
    assert_true(progress.upload_bytes > 1000000 && progress.total_us > 1500000);
    assert_int_equal(progress.upload_us, progress.total_us);
    p2p_perf_stop(perf);
    assert_true(world_until(&p.world, ran, &stopped, 20));
    assert_int_equal(stopped.code, P2P_ECANCELED);

    static const p2p_stream_events silent = {.size = sizeof(silent), .on_close = ignore_close};
    assert_int_equal(p2p_host_handle(p.a, P2P_PERF_PROTOCOL, &silent, NULL), 0);
    char addr[256];
    world_addr(p.a, addr, sizeof(addr));
    p2p_perf_run(p.b, addr, 10, 10, NULL, on_perf, &stuck);
    world_run(&p.world, 59000);
    assert_int_equal(stuck.calls, 0);
    assert_true(world_until(&p.world, ran, &stuck, 2000));
    assert_int_equal(stuck.code, P2P_ETIMEDOUT);

    assert_int_equal(p2p_host_unhandle(p.a, P2P_PERF_PROTOCOL), 0);
    p2p_perf_run(p.b, addr, 10, 10, NULL, on_perf, &unserved);
    assert_true(world_until(&p.world, ran, &unserved, 2000));
    assert_int_equal(unserved.code, P2P_ENOPROTO);

    p2p_perf_run(p.a, p.addr, UINT64_MAX, 0, NULL, on_perf, &run); /* until the host closes */
    world_run(&p.world, 500);
    world_fini(&p.world);
    assert_int_equal(run.calls, 1);
    assert_int_equal(run.code, P2P_ECANCELED);
}

/* The amount cut short, and a server that must not answer before the end. */
static void test_perf_server_reads_to_the_end(void **state)
{
    (void)state;
    struct pair p;
    struct raw cut = {0}, slow = {0};
    pair_init(&p, NULL, all_services);
    raw_dial(&cut, p.a, p.addr, P2P_PERF_PROTOCOL);
    p2p_stream_write(cut.stream, "\0\0\0\0\0\0\x01", 7);
    p2p_stream_close_write(cut.stream);
    assert_true(world_until(&p.world, raw_is_closed, &cut, 2000));
    assert_int_equal(cut.code, P2P_ERESET);
    raw_dial(&slow, p.a, p.addr, P2P_PERF_PROTOCOL);
    for (int i = 0; i < 8; i++) {
        p2p_stream_write(slow.stream, &"\0\0\0\0\0\x01\0\x05"[i], 1);
        world_run(&p.world, 200);
    }
    p2p_stream_write(slow.stream, "body", 4);
    world_run(&p.world, 2000);
    assert_int_equal(slow.got, 0);
    p2p_stream_close_write(slow.stream);
    assert_true(world_until(&p.world, raw_is_closed, &slow, 2000));
    assert_int_equal(slow.got, 65541);
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services_are_named),
        cmocka_unit_test(test_unknown_service),
        cmocka_unit_test(test_ping_measures_the_round_trip),
        cmocka_unit_test(test_ping_without_pause),
        cmocka_unit_test(test_ping_of_nobody),
        cmocka_unit_test(test_ping_of_one_who_does_not_serve_it),
        cmocka_unit_test(test_ping_through_an_outage),
        cmocka_unit_test(test_ping_survives_its_connection),
        cmocka_unit_test(test_ping_stops_in_its_callback),
        cmocka_unit_test(test_ping_stopped_or_host_closed_at_any_time),
        cmocka_unit_test(test_ping_compares_the_bytes),
        cmocka_unit_test(test_I13_two_ping_streams_a_peer),
        cmocka_unit_test(test_I13_a_flood_waits_for_its_reader),
        cmocka_unit_test(test_I13_pings_are_returned_after_the_end),
        cmocka_unit_test(test_pings_through_a_short_queue),
        cmocka_unit_test(test_ping_keeps_its_stream),
        cmocka_unit_test(test_ping_of_a_server_that_answers_once),
        cmocka_unit_test(test_ping_server_ends_idle_streams),
        cmocka_unit_test(test_echo_of_a_mib),
        cmocka_unit_test(test_echo_delivers_after_the_end),
        cmocka_unit_test(test_perf_moves_what_was_asked),
        cmocka_unit_test(test_perf_measures_the_rate),
        cmocka_unit_test(test_perf_of_a_server_that_miscounts),
        cmocka_unit_test(test_perf_of_a_server_that_does_not_wait),
        cmocka_unit_test(test_perf_ends),
        cmocka_unit_test(test_perf_server_reads_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
