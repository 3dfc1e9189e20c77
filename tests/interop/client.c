/* Many streams on one connection, for the interop runner: interop-client ADDR parallel N |
 * sequential N | half-close | reset | slow-reader, and then any options of the library as
 * NAME=VALUE. Exit 0: it went as it should. Every stream
 * speaks /p2p/echo/1.0.0 (reset: /test/reset/1.0.0), and what comes back is compared. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <p2p/p2p.h>
#include <p2p/uv.h>

#define ECHO_ID  "/p2p/echo/1.0.0"
#define RESET_ID "/test/reset/1.0.0"

enum {
    SLOW_BYTES = 8 * 1024 * 1024,
    SLOW_STEP = 64 * 1024,
    DEADLINE_MS = 120 * 1000,
};

struct test;

struct one {
    struct test *test;
    p2p_stream *stream;
    size_t to_send, sent, got;
    int code;
    bool keep_open, slow, bad, closed;
};

struct test {
    p2p_host *host;
    const char *target;
    struct one *ones;
    int count, started, closed, failed, at_once;
    size_t bytes;
    void (*after)(struct test *);
};

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 9));
}

static void fill(struct one *self)
{
    uint8_t chunk[8192];
    while (self->sent < self->to_send) {
        size_t n = self->to_send - self->sent;
        n = n < sizeof(chunk) ? n : sizeof(chunk);
        for (size_t i = 0; i < n; i++)
            chunk[i] = pattern(self->sent + i);
        int64_t took = p2p_stream_write(self->stream, chunk, n);
        if (took <= 0)
            return;
        self->sent += (size_t)took;
    }
    if (!self->keep_open)
        p2p_stream_close_write(self->stream);
}

static void read_some(struct one *self, size_t max)
{
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(self->stream, &len);
    len = len < max ? len : max;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(self->got + i))
            self->bad = true;
    self->got += len;
    p2p_stream_consume(self->stream, len);
}

static void slow_step(void *user, const p2p_error *why)
{
    struct one *self = user;
    if (why || self->closed)
        return;
    read_some(self, SLOW_STEP);
    p2p_stream_resume(self->stream);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct one *self = user;
    (void)stream;
    if (!self->slow)
        read_some(self, SIZE_MAX);
    else
        p2p_host_after(self->test->host, 5, slow_step, self);
}

static void on_drain(p2p_stream *stream, void *user)
{
    (void)stream;
    fill(user);
}

static void start_next(struct test *test);

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct one *self = user;
    struct test *test = self->test;
    (void)stream;
    self->closed = true;
    self->code = why ? why->code : 0;
    bool expected_reset = self->keep_open && why && why->code == P2P_ERESET;
    if (!expected_reset && (why || self->bad || self->got != self->to_send)) {
        fprintf(stderr, "stream %d: %s, %zu of %zu bytes back%s\n", (int)(self - test->ones),
                why ? why->message : "ended", self->got, self->to_send,
                self->bad ? ", not the same" : "");
        test->failed++;
    }
    test->closed++;
    start_next(test);
    if (test->closed == test->count && test->after)
        test->after(test);
    else if (test->closed == test->count)
        p2p_host_close(test->host, NULL, NULL);
}

static const p2p_stream_events events = {
    .size = sizeof(events), .on_read = on_read, .on_drain = on_drain, .on_close = on_close};

static void start_one(struct test *test, struct one *one, const char *protocol)
{
    one->test = test;
    one->stream = p2p_host_open(test->host, test->target, &protocol, 1, NULL, &events, one);
    if (!one->stream)
        abort();
    fill(one);
}

static void start_next(struct test *test)
{
    while (test->started < test->count && test->started - test->closed < test->at_once) {
        struct one *one = &test->ones[test->started++];
        one->to_send = test->bytes;
        start_one(test, one, ECHO_ID);
    }
}

/* After the reset the connection must serve a new stream. */
static void after_reset(struct test *test)
{
    test->after = NULL;
    test->count = 2;
    test->bytes = 1000;
    start_next(test);
}

static int usage(void)
{
    fprintf(stderr, "usage: interop-client ADDR parallel N | sequential N | half-close | reset | "
                    "slow-reader [NAME=VALUE]...\n");
    return 2;
}

static bool prepare(struct test *test, int argc, char **argv)
{
    const char *name = argv[2];
    int number = argc > 3 && !strchr(argv[3], '=') ? atoi(argv[3]) : 1;
    test->count = test->at_once = 1;
    test->bytes = 100 * 1000;
    if (strcmp(name, "parallel") == 0) {
        test->count = test->at_once = number;
    } else if (strcmp(name, "sequential") == 0) {
        test->count = number;
        test->bytes = 1000;
    } else if (strcmp(name, "reset") == 0) {
        test->after = after_reset;
    } else if (strcmp(name, "slow-reader") == 0) {
        test->bytes = SLOW_BYTES;
    } else if (strcmp(name, "half-close") != 0) {
        return false;
    }
    test->ones = calloc((size_t)test->count + 1, sizeof(*test->ones));
    return test->ones && test->count > 0;
}

static p2p_config *configure(int argc, char **argv)
{
    p2p_config *config = p2p_config_new();
    for (int i = 3; config && i < argc; i++) {
        char *equals = strchr(argv[i], '='), why[200];
        if (!equals)
            continue;
        *equals = '\0';
        if (p2p_config_set(config, argv[i], equals + 1, why, sizeof(why)) < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], why);
            exit(2);
        }
    }
    return config;
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "not done within %d s\n", DEADLINE_MS / 1000);
    exit(1);
}

int main(int argc, char **argv)
{
    struct test test = {0};
    if (argc < 3 || !prepare(&test, argc, argv))
        return usage();
    uv_loop_t *loop = uv_default_loop();
    p2p_error *err = NULL;
    test.target = argv[1];
    p2p_config *config = configure(argc, argv);
    int rc = p2p_host_new(config, p2p_io_uv(loop), &test.host, &err);
    p2p_config_free(config);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err ? err->message : "out of memory");
        return 1;
    }
    uv_timer_t deadline;
    uv_timer_init(loop, &deadline);
    uv_timer_start(&deadline, on_deadline, DEADLINE_MS, 0);
    uv_unref((uv_handle_t *)&deadline);
    if (test.after) {
        struct one *one = &test.ones[test.started++];
        one->to_send = 1 << 20;
        one->keep_open = true;
        start_one(&test, one, RESET_ID);
    } else {
        test.ones[0].slow = strcmp(argv[2], "slow-reader") == 0;
        start_next(&test);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%d streams, %d failed\n", test.closed, test.failed);
    free(test.ones);
    return test.failed ? 1 : 0;
}
