/* Calls from other threads. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    THREADS = 4,
    POSTS = 500,
};

struct poster {
    struct p2p_io *io;
    uv_thread_t thread;
    int next; /* the number that must come next, written on the loop's thread */
    struct poster_item {
        struct poster *from;
        int number;
    } item[POSTS];
    bool saw_loop_thread;
};

static void on_posted(void *user)
{
    struct poster_item *item = user;
    assert_int_equal(item->number, item->from->next);
    assert_true(item->from->io->ops->on_thread(item->from->io));
    item->from->next++;
}

static void post_all(void *user)
{
    struct poster *self = user;
    self->saw_loop_thread = self->io->ops->on_thread(self->io);
    for (int i = 0; i < POSTS; i++) {
        self->item[i] = (struct poster_item){self, i};
        if (self->io->ops->post(self->io, on_posted, &self->item[i]) != 0)
            abort();
    }
}

static void test_post_from_threads(void **state)
{
    (void)state;
    struct world w;
    struct poster *posters = calloc(THREADS, sizeof(*posters));
    world_open(&w);
    for (int i = 0; i < THREADS; i++) {
        posters[i].io = w.io;
        assert_int_equal(uv_thread_create(&posters[i].thread, post_all, &posters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        RUN_UNTIL(&w, posters[i].next == POSTS);
    for (int i = 0; i < THREADS; i++) {
        uv_thread_join(&posters[i].thread);
        assert_false(posters[i].saw_loop_thread);
    }
    assert_int_equal(w.turns, 0);
    free(posters);
    world_close(&w);
}

struct run_elsewhere {
    struct world *w;
    bool before, within, after;
};

static void note_thread(void *user)
{
    struct run_elsewhere *self = user;
    self->within = self->w->io->ops->on_thread(self->w->io);
}

static void run_elsewhere(void *user)
{
    struct run_elsewhere *self = user;
    self->before = self->w->io->ops->on_thread(self->w->io);
    self->w->io->ops->post(self->w->io, note_thread, self);
    while (!self->within)
        uv_run(&self->w->loop, UV_RUN_ONCE);
}

/* A loop made here and run there belongs to there. */
static void test_loop_runs_on_another_thread(void **state)
{
    (void)state;
    struct world w;
    struct run_elsewhere self = {.w = &w};
    uv_thread_t thread;
    world_open(&w);
    assert_true(w.io->ops->on_thread(w.io));
    assert_int_equal(uv_thread_create(&thread, run_elsewhere, &self), 0);
    uv_thread_join(&thread);
    assert_false(self.before);
    assert_true(self.within);
    assert_false(w.io->ops->on_thread(w.io));
    uv_run(&w.loop, UV_RUN_NOWAIT); /* and comes back with it */
    assert_true(w.io->ops->on_thread(w.io));
    world_close(&w);
}

static void post_itself(void *user)
{
    struct world *w = user;
    w->turns++;
    w->link_wakes = (unsigned)-w->io->ops->post(w->io, post_itself, w);
}

static void test_endless_posts_are_fair(void **state)
{
    (void)state;
    struct world w;
    int fd[3] = {0};
    world_open(&w);
    assert_int_equal(pipe(fd), 0);
    uv_poll_t poll;
    uv_poll_init(&w.loop, &poll, fd[0]);
    poll.data = fd;
    uv_poll_start(&poll, UV_READABLE, on_count);
    assert_int_equal(w.io->ops->post(w.io, post_itself, &w), 0);
    for (int i = 1; i <= 20; i++) {
        unsigned before = w.turns;
        assert_int_equal(write(fd[1], "x", 1), 1);
        RUN_UNTIL(&w, fd[2] == i);
        assert_in_range(w.turns - before, 0, 4);
    }
    uv_close((uv_handle_t *)&poll, NULL);
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(w.link_wakes, 0);
    /* What is posted while the queue is run for the last time is refused. */
    unsigned before = w.turns;
    w.io->ops->detach(w.io);
    assert_int_equal(w.turns, before + 1);
    assert_int_equal(w.link_wakes, -P2P_ECLOSED);
    world_close(&w);
}

static void test_detach_runs_posts(void **state)
{
    (void)state;
    struct world w;
    int calls = 0;
    world_open(&w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w.io->ops->post(w.io, count_call, &calls), 0);
    mark(&w);
    w.io->ops->detach(w.io);
    assert_int_equal(calls, 3);
    assert_int_equal(w.io->ops->post(w.io, count_call, &calls), P2P_ECLOSED);
    mark(&w);
    w.io->ops->wake_at(w.io, 0);
    assert_null(w.io->turn);
    world_close(&w); /* detaches again: harmless */
    assert_int_equal(w.turns, 0);
    assert_int_equal(calls, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_post_from_threads),
        cmocka_unit_test(test_loop_runs_on_another_thread),
        cmocka_unit_test(test_endless_posts_are_fair),
        cmocka_unit_test(test_detach_runs_posts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
