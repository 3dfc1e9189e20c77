/* Work that may block, on a thread of its own: made for one job, gone with it. libuv's pool is the
 * application's, who may fill it, and it ends the process when it gets no thread. */
#define _GNU_SOURCE
#include <assert.h>
#include <signal.h>

#include "base/mem.h"
#include "io/uv_internal.h"

enum { STACK_BYTES = 256 * 1024 };

struct uv_job {
    struct io_job job;
    struct uv_io *io;
    uv_thread_t thread;
    struct uv_post *end; /* made beforehand: a job that ran must be able to say so */
    void (*run)(void *user);
    void *user;
};

static void on_end(void *user)
{
    struct uv_job *self = user;
    self->job.done = true;
    self->job.wake(&self->job);
}

static void thread_main(void *arg)
{
    struct uv_job *self = arg;
    self->run(self->user);
    p2p__uv_post_send(self->io, self->end);
}

/* Signals are the application's: they must not arrive on a thread that it does not know. */
static int start(struct uv_job *self)
{
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
                                         .stack_size = STACK_BYTES};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = uv_thread_create_ex(&self->thread, &options, thread_main, self);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? 0 : P2P_ELIMIT;
}

int p2p__uv_job(struct p2p_io *base, void (*run)(void *user), void *user, struct io_job **out)
{
    struct uv_job *self = p2p__alloc(sizeof(*self));
    struct uv_post *end = p2p__uv_post_new(on_end, self);
    int rc = P2P_ENOMEM;
    if (self && end) {
        *self = (struct uv_job){.io = (struct uv_io *)base, .end = end, .run = run, .user = user};
        *out = &self->job;
        rc = start(self);
    }
    if (rc < 0) {
        p2p__free(self);
        p2p__free(end);
        return rc;
    }
    self->io->sockets++;
    return 0;
}

void p2p__uv_job_end(struct io_job *job)
{
    struct uv_job *self = (struct uv_job *)job;
    assert(job->done);
    uv_thread_join(&self->thread); /* it has only to return */
    self->io->sockets--;
    p2p__free(self);
}
