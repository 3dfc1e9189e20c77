#define _POSIX_C_SOURCE 200809L
#include "io/loop.h"

#include <poll.h>
#include <signal.h>

#include "io/io.h"

enum {
    JOBS_PER_ROUND = 256, /* then the sockets get their go */
};

int p2p__loop_init(struct loop *self)
{
    list_init(&self->jobs);
    if (!p2p__gate_init(&self->gate))
        return P2P_ENOMEM;
    if (p2p__flag_open(&self->bell))
        return 0;
    p2p__gate_fini(&self->gate);
    return P2P_ELIMIT;
}

void p2p__loop_fini(struct loop *self)
{
    p2p__flag_close(&self->bell);
    p2p__gate_fini(&self->gate);
}

/* The next job, or NULL: then the thread may sleep. */
static struct job *take(struct loop *self, bool last)
{
    gate_lock(&self->gate);
    struct list *node = list_pop(&self->jobs);
    if (!node) {
        p2p__flag_lower(&self->bell);
        self->idle = true;
        self->ended = last;
    }
    gate_unlock(&self->gate);
    return node ? P2P__CONTAINER(node, struct job, node) : NULL;
}

/* Whether some are left. */
static bool run_jobs(struct loop *self, int max, bool last)
{
    for (int i = 0; i < max; i++) {
        struct job *job = take(self, last);
        if (!job)
            return false;
        job->run(job);
    }
    return true;
}

static void *thread_main(void *arg)
{
    struct loop *self = arg;
    struct p2p_io *io = self->io;
    bool more = true;
    while (io->turn) {
        struct pollfd fds[2] = {{.fd = p2p_io_fd(io), .events = POLLIN},
                                {.fd = flag_fd(&self->bell), .events = POLLIN}};
        poll(fds, 2, more ? 0 : p2p_io_timeout_ms(io));
        more = run_jobs(self, JOBS_PER_ROUND, false);
        p2p_io_process(io);
    }
    while (run_jobs(self, JOBS_PER_ROUND, true))
        ;
    p2p_io_free(io);
    return NULL;
}

int p2p__loop_start(struct loop *self, struct p2p_io *io)
{
    /* Signals are the application's: they must not arrive on a thread that it does not know. */
    sigset_t all, old;
    self->io = io;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&self->thread, NULL, thread_main, self);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? 0 : P2P_ENOMEM;
}

int p2p__loop_put(struct loop *self, struct job *job)
{
    gate_lock(&self->gate);
    int rc = self->ended ? P2P_ECLOSED : list_empty(&job->node);
    if (rc == 1) {
        list_append(&self->jobs, &job->node);
        if (self->idle)
            p2p__flag_raise(&self->bell);
        self->idle = false;
    }
    gate_unlock(&self->gate);
    return rc;
}

bool p2p__loop_here(const struct loop *self)
{
    return pthread_equal(pthread_self(), self->thread) != 0;
}

void p2p__loop_join(struct loop *self)
{
    (void)pthread_join(self->thread, NULL);
}
