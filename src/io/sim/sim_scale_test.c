/* Ten thousand machines cost ten times a thousand, in events and in memory, and no more. */
#include "tests/test.h"

#include <malloc.h>
#include <stdlib.h>

#include <p2p/mem.h>

#include "tests/sim_links.h"

enum {
    DIALS = 3,           /* by each machine */
    MESSAGES = 4,        /* each way on each connection */
    END_BYTES_MAX = 400, /* of an idle connection's end: itself, its event, its places in tables */
    HOST_BYTES_MAX = 1000, /* of a machine with one address and one listener */
};

static size_t heap_bytes;

static void *counting_malloc(size_t size)
{
    void *memory = malloc(size);
    heap_bytes += memory ? malloc_usable_size(memory) : 0;
    return memory;
}

static void counting_free(void *memory)
{
    heap_bytes -= memory ? malloc_usable_size(memory) : 0;
    free(memory);
}

static void *counting_realloc(void *old, size_t size)
{
    heap_bytes -= old ? malloc_usable_size(old) : 0;
    void *memory = realloc(old, size);
    heap_bytes += memory ? malloc_usable_size(memory) : 0;
    return memory;
}

/* A machine that answers every message until each of its links has seen enough. */
struct talker {
    p2p_io *io;
    struct io_listener *listener;
    struct link *links[64];
    int sent[64];
    int count;
};

struct crowd {
    p2p_sim *sim;
    struct talker *talkers;
    struct pool pool;
    size_t count;
    uint64_t heard;
};

static struct crowd crowd;

static void talker_woken(struct link *link)
{
    struct talker *self = link->owner;
    self->io->ops->mark(self->io);
}

static void listener_of_talker_woken(struct io_listener *listener)
{
    struct talker *self = listener->owner;
    self->io->ops->mark(self->io);
}

static void talker_adopt(struct talker *self, struct link *link)
{
    assert_true(self->count < 64);
    link->owner = self;
    link->wake = talker_woken;
    link->in.max = 65536;
    self->sent[self->count] = 0;
    self->links[self->count++] = link;
}

static void talker_turn(void *user)
{
    struct talker *self = user;
    struct link *link;
    int sys_errno;
    while (self->listener->acceptable &&
           self->io->ops->accept(self->listener, &crowd.pool, &link, &sys_errno) == 0)
        talker_adopt(self, link);
    for (int i = 0; i < self->count; i++) {
        link = self->links[i];
        size_t heard = link->readable ? link_drain(link) : 0;
        crowd.heard += heard > 0;
        if (link->connected && self->sent[i] < MESSAGES && (self->sent[i] == 0 || heard)) {
            self->sent[i]++;
            assert_int_equal(link_write(link, "a message of some length", 24), 24);
        }
    }
}

static void crowd_init(size_t count)
{
    crowd = (struct crowd){.sim = sim_with(1, NULL), .count = count};
    crowd.talkers = calloc(count, sizeof(*crowd.talkers));
    assert_non_null(crowd.talkers);
    p2p__pool_init(&crowd.pool, 0);
    for (size_t i = 0; i < count; i++) {
        struct talker *talker = &crowd.talkers[i];
        int sys_errno;
        struct io_addr any = {.family = 4, .port = 4001};
        talker->io = p2p_sim_host(crowd.sim, NULL, (unsigned)i % 8);
        assert_non_null(talker->io);
        talker->io->turn = talker_turn;
        talker->io->user = talker;
        assert_int_equal(talker->io->ops->listen(talker->io, &any, &talker->listener, &sys_errno),
                         0);
        talker->listener->owner = talker;
        talker->listener->wake = listener_of_talker_woken;
    }
}

static void crowd_dial(void)
{
    for (size_t i = 0; i < crowd.count; i++) {
        for (int k = 0; k < DIALS; k++) {
            size_t n = 1 + (i + 1 + p2p_sim_random(crowd.sim) % (crowd.count - 1)) % crowd.count;
            struct io_addr to = ip4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 4001);
            struct link *link = NULL;
            int sys_errno;
            p2p_io *io = crowd.talkers[i].io;
            assert_int_equal(io->ops->dial(io, &to, NULL, 0, &crowd.pool, &link, &sys_errno), 0);
            talker_adopt(&crowd.talkers[i], link);
        }
    }
}

static void crowd_fini(void)
{
    p2p_sim_free(crowd.sim);
    assert_int_equal(crowd.pool.used_bytes, 0);
    p2p__pool_fini(&crowd.pool);
    free(crowd.talkers);
}

static uint64_t events_of(size_t count)
{
    size_t before = heap_bytes;
    crowd_init(count);
    size_t host_bytes = (heap_bytes - before) / count;
    before = heap_bytes;
    crowd_dial();
    p2p_sim_run(crowd.sim, 10 * 1000000);
    p2p__pool_fini(&crowd.pool);
    p2p__pool_init(&crowd.pool, 0);
    size_t end_bytes = (heap_bytes - before) / (count * DIALS * 2);
    assert_true(host_bytes <= HOST_BYTES_MAX + 140000 / count); /* and the simulation itself */
    assert_true(end_bytes <= END_BYTES_MAX);
    assert_true(crowd.heard == count * DIALS * MESSAGES * 2);
    assert_false(p2p_sim_step(crowd.sim)); /* idle machines have no events */
    uint64_t events = p2p_sim_events(crowd.sim);
    print_message("%zu machines: %zu bytes each, %zu an idle end, %.2f events a message\n", count,
                  host_bytes, end_bytes, (double)events / (double)crowd.heard);
    crowd_fini();
    return events;
}

static void test_cost_is_linear_in_machines(void **state)
{
    (void)state;
    static const p2p_mem counting = {counting_malloc, counting_realloc, counting_free};
    p2p_mem_set(&counting);
    uint64_t thousand = events_of(1000), ten_thousand = events_of(10000);
    p2p_mem_set(NULL);
    assert_int_equal(heap_bytes, 0);
    /* The same talk everywhere: only turns that several arrivals share make a difference. */
    assert_in_range(ten_thousand, thousand * 95 / 10, thousand * 105 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_is_linear_in_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
