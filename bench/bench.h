/* What the benchmarks share: a clock, a host, a second process that answers, and one way to print.
 * Every program measures one round and prints a line for each figure, "name value unit"; run.py
 * repeats the rounds and takes medians. Include it first. */
#ifndef P2P_BENCH_BENCH_H
#define P2P_BENCH_BENCH_H

#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include <p2p/mem.h>
#include <p2p/p2p.h>
#include <p2p/perf.h>
#include <p2p/uv.h>

#include "host/host.h"

static inline double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline double cpu_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

static inline void print(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
    fflush(stdout);
}

/* The nth argument, a number of at least 1, or the default. */
static inline uint64_t argument(int argc, char **argv, int n, uint64_t fallback)
{
    uint64_t value = argc > n ? strtoull(argv[n], NULL, 10) : fallback;
    if (value == 0) {
        fprintf(stderr, "%s: '%s' is not a number\n", argv[0], argv[n]);
        exit(2);
    }
    return value;
}

/* ---- the library's memory, exactly: with what malloc adds to each block ---- */

static uint64_t heap_bytes;

static inline void *count_malloc(size_t size)
{
    void *memory = malloc(size);
    heap_bytes += memory ? malloc_usable_size(memory) + sizeof(size_t) : 0;
    return memory;
}

static inline void count_free(void *memory)
{
    heap_bytes -= malloc_usable_size(memory) + sizeof(size_t);
    free(memory);
}

static inline void *count_realloc(void *old, size_t size)
{
    size_t before = malloc_usable_size(old);
    void *memory = realloc(old, size);
    heap_bytes += memory ? malloc_usable_size(memory) - before : 0;
    return memory;
}

/* Before anything else of the library, and before remote_start. */
static inline void heap_count(void)
{
    static const p2p_mem counting = {count_malloc, count_realloc, count_free};
    p2p_mem_set(&counting);
}

/* ---- a host on a loop ---- */

struct bench_host {
    uv_loop_t *loop;
    p2p_host *host;
};

/* What a process has used so far, or holds. */
struct usage {
    uint64_t heap;   /* bytes, only after heap_count; without the free blocks that the pool keeps */
    uint64_t rss;    /* bytes */
    uint64_t copied; /* bytes that the library copied */
    double cpu_s;
};

static inline uint64_t rss_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2)
        die("/proc/self/statm");
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static inline struct usage usage_of(const struct bench_host *self)
{
    struct rusage spent;
    getrusage(RUSAGE_SELF, &spent);
    return (struct usage){
        .heap = heap_bytes - self->host->shard.pool.kept_bytes,
        .rss = rss_bytes(),
        .copied = self->host->shard.pool.copied_bytes,
        .cpu_s = (double)(spent.ru_utime.tv_sec + spent.ru_stime.tv_sec) +
                 (double)(spent.ru_utime.tv_usec + spent.ru_stime.tv_usec) / 1e6,
    };
}

/* loop: another host's, or NULL for a new one. options: pairs of a name and a value, then NULL. */
static inline void host_start(struct bench_host *self, uv_loop_t *loop, const char *const *options)
{
    p2p_error *err = NULL;
    p2p_config *config = p2p_config_new();
    for (; options && *options; options += 2) {
        char why[200];
        if (p2p_config_set(config, options[0], options[1], why, sizeof(why)) < 0) {
            fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
            exit(1);
        }
    }
    self->loop = loop ? loop : malloc(sizeof(*loop));
    if (!loop && (!self->loop || uv_loop_init(self->loop) != 0))
        die("a loop");
    if (p2p_host_new(config, p2p_io_uv(self->loop), &self->host, &err) < 0) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, err ? err->message : "memory");
        exit(1);
    }
    p2p_config_free(config);
}

/* Runs the host until *count is at least `target`. */
static inline void host_until(struct bench_host *self, const uint64_t *count, uint64_t target)
{
    while (*count < target)
        uv_run(self->loop, UV_RUN_ONCE);
}

/* For operations that must succeed: counts one more in *user. */
static inline void bench_done(void *user, const p2p_error *why)
{
    if (why) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, why->message);
        exit(1);
    }
    ++*(uint64_t *)user;
}

static inline void bench_measured(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    (void)result;
    bench_done(user, why);
}

/* ---- the other side, in a process of its own ---- */

struct remote {
    pid_t pid;
    int ask, answer;
    char addr[256]; /* with /p2p/ID */
};

struct remote_side {
    struct bench_host base;
    uv_poll_t poll;
    int ask, answer;
};

static inline void remote_asked(uv_poll_t *poll, int status, int events)
{
    struct remote_side *self = poll->data;
    char byte;
    (void)status, (void)events;
    if (read(self->ask, &byte, 1) != 1)
        _exit(0);
    struct usage usage = usage_of(&self->base);
    if (write(self->answer, &usage, sizeof(usage)) != sizeof(usage))
        _exit(1);
}

/* A process with a listening host; prepare (may be NULL) is called there before it serves. */
static inline void remote_start(struct remote *self, const char *const *options,
                                void (*prepare)(struct bench_host *))
{
    int ask[2], answer[2];
    fflush(stdout);
    if (pipe(ask) || pipe(answer) || (self->pid = fork()) < 0)
        die("a second process");
    if (self->pid == 0) {
        static struct remote_side side;
        p2p_multiaddr addr;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ask[1]);
        host_start(&side.base, NULL, options);
        if (prepare)
            prepare(&side.base);
        side.ask = ask[0];
        side.answer = answer[1];
        side.poll.data = &side;
        uv_poll_init(side.base.loop, &side.poll, side.ask);
        uv_poll_start(&side.poll, UV_READABLE, remote_asked);
        p2p_host_addr(side.base.host, 0, &addr);
        p2p_multiaddr_format(&addr, self->addr, sizeof(self->addr));
        if (write(side.answer, self->addr, sizeof(self->addr)) != sizeof(self->addr))
            _exit(1);
        uv_run(side.base.loop, UV_RUN_DEFAULT);
        _exit(1);
    }
    close(ask[0]);
    close(answer[1]);
    self->ask = ask[1];
    self->answer = answer[0];
    if (read(self->answer, self->addr, sizeof(self->addr)) != sizeof(self->addr))
        die("the second process did not start");
}

static inline struct usage remote_usage(struct remote *self)
{
    struct usage usage = {0};
    if (write(self->ask, "u", 1) != 1 || read(self->answer, &usage, sizeof(usage)) != sizeof(usage))
        die("the second process does not answer");
    return usage;
}

static inline void remote_stop(struct remote *self)
{
    close(self->ask);
    close(self->answer);
    waitpid(self->pid, NULL, 0);
}

#endif
