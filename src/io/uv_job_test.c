/* Work beside the loop. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <signal.h>

enum { JOBS = 20 };

struct task {
    struct p2p_io *io;
    uv_sem_t go;
    bool on_loop_thread, takes_signals;
    int ran;
    unsigned wakes;
};

static void run(void *user)
{
    struct task *self = user;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    self->takes_signals = !sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM);
    self->on_loop_thread = self->io->ops->on_thread(self->io);
    uv_sem_wait(&self->go);
    self->ran++;
}

static void on_wake(struct io_job *job)
{
    struct task *self = job->owner;
    assert_true(self->io->ops->on_thread(self->io));
    assert_true(job->done);
    self->wakes++;
}

static struct io_job *begin(struct world *w, struct task *task)
{
    struct io_job *job;
    *task = (struct task){.io = w->io};
    assert_int_equal(uv_sem_init(&task->go, 0), 0);
    assert_int_equal(w->io->ops->job(w->io, run, task, &job), 0);
    job->owner = task;
    job->wake = on_wake;
    return job;
}

static void end(struct task *task, struct io_job *job)
{
    assert_int_equal(task->ran, 1);
    assert_int_equal(task->wakes, 1);
    assert_false(task->on_loop_thread);
    assert_false(task->takes_signals);
    task->io->ops->job_end(job);
    uv_sem_destroy(&task->go);
}

static void test_the_loop_turns_meanwhile(void **state)
{
    (void)state;
    struct world w;
    struct task task;
    world_open(&w);
    struct io_job *job = begin(&w, &task);
    w.io->ops->mark(w.io);
    RUN_UNTIL(&w, w.turns == 1);
    assert_false(job->done);
    uv_sem_post(&task.go);
    RUN_UNTIL(&w, task.wakes == 1);
    end(&task, job);
    world_close(&w);
}

static void test_many_at_once(void **state)
{
    (void)state;
    struct world w;
    struct task task[JOBS];
    struct io_job *job[JOBS];
    world_open(&w);
    for (int i = 0; i < JOBS; i++)
        job[i] = begin(&w, &task[i]);
    for (int i = JOBS; i-- > 0;)
        uv_sem_post(&task[i].go);
    for (int i = 0; i < JOBS; i++)
        RUN_UNTIL(&w, task[i].wakes == 1);
    for (int i = 0; i < JOBS; i++)
        end(&task[i], job[i]);
    world_close(&w);
}

/* No room for another thread's stack is an answer, not the end of the process. */
static void test_no_thread_to_be_had(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its shadow is larger than any such limit */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    skip();
#endif
#endif
    struct world w;
    struct task task;
    struct io_job *job;
    struct rlimit old, none;
    world_open(&w);
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    none = old;
    none.rlim_cur = 1; /* what is mapped stays */
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    int rc = w.io->ops->job(w.io, run, &task, &job);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(rc, P2P_ELIMIT);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_thread_to_be_had),
        cmocka_unit_test(test_the_loop_turns_meanwhile),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests_name("io/uv_job", tests, NULL, NULL);
}
