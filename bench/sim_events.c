/* What one event of the simulator costs, with a thousand and with ten thousand machines that send
 * each other short messages: bench-sim_events [machines...]. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <p2p/sim.h>

#include "io/io.h"

enum {
    DIALS = 10, /* by each machine: twenty connections on average */
    EVENTS = 3000000,
    MESSAGE = 100,
    LINKS_MAX = 128,
};

struct talker {
    p2p_io *io;
    struct pool *pool;
    struct io_listener *listener;
    struct link *woken[LINKS_MAX]; /* since the last turn */
    size_t woken_count;
};

static uint8_t message[MESSAGE];

static void link_woken(struct link *link)
{
    struct talker *self = link->owner;
    if (self->woken_count == LINKS_MAX)
        abort();
    self->woken[self->woken_count++] = link;
    self->io->ops->mark(self->io);
}

static void listener_woken(struct io_listener *listener)
{
    struct talker *self = listener->owner;
    self->io->ops->mark(self->io);
}

static void adopt(struct talker *self, struct link *link)
{
    link->owner = self;
    link->wake = link_woken;
    link->in.max = 65536;
}

static void say(struct link *link)
{
    struct iov iov = {message, sizeof(message)};
    link->ops->write(link, &iov, 1);
}

/* Every message is answered, for ever. */
static void turn(void *user)
{
    struct talker *self = user;
    struct link *link;
    int sys_errno;
    while (self->listener->acceptable &&
           self->io->ops->accept(self->listener, self->pool, &link, &sys_errno) == 0) {
        adopt(self, link);
        say(link);
    }
    while (self->woken_count > 0) {
        link = self->woken[--self->woken_count];
        if (!link->readable || link->ops->fill(link) == 0)
            continue;
        buf_consume(&link->in, buf_len(&link->in));
        if (p2p__buf_settle(&link->in, link->pool) == 0)
            say(link);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void start(p2p_sim *sim, struct talker *self, struct pool *pool)
{
    int sys_errno;
    struct io_addr any = {.family = 4, .port = 4001};
    self->io = p2p_sim_host(sim, NULL, 0);
    self->pool = pool;
    if (!self->io || self->io->ops->listen(self->io, &any, &self->listener, &sys_errno) < 0)
        abort();
    self->io->turn = turn;
    self->io->user = self;
    self->listener->owner = self;
    self->listener->wake = listener_woken;
}

static void dial(p2p_sim *sim, struct talker *self, size_t count)
{
    size_t n = 1 + (size_t)p2p_sim_random(sim) % count;
    struct io_addr to = {
        .family = 4, .port = 4001, .ip = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    struct link *link;
    int sys_errno;
    if (self->io->ops->dial(self->io, &to, NULL, 0, self->pool, &link, &sys_errno) < 0)
        abort();
    adopt(self, link);
}

static void measure(size_t count)
{
    p2p_sim *sim = p2p_sim_new(NULL);
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.jitter_us = 20000; /* so that turns are not shared */
    struct talker *talkers = calloc(count, sizeof(*talkers));
    struct pool pool;
    p2p__pool_init(&pool, 0);
    if (!sim || !talkers || p2p_sim_path(sim, 0, 0, &path) < 0)
        abort();
    for (size_t i = 0; i < count; i++)
        start(sim, &talkers[i], &pool);
    for (size_t i = 0; i < count * DIALS; i++)
        dial(sim, &talkers[i / DIALS], count);
    p2p_sim_run(sim, 300000);
    uint64_t before = p2p_sim_events(sim);
    double from = seconds();
    while (p2p_sim_events(sim) < before + EVENTS && p2p_sim_step(sim))
        continue;
    double ns = (seconds() - from) * 1e9 / (double)(p2p_sim_events(sim) - before);
    printf("%6zu machines, %d connections each: %.0f ns an event\n", count, 2 * DIALS, ns);
    p2p_sim_free(sim);
    p2p__pool_fini(&pool);
    free(talkers);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        measure(strtoul(argv[i], NULL, 10));
    if (argc > 1)
        return 0;
    measure(1000);
    measure(10000);
    return 0;
}
