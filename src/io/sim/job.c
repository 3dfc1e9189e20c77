/* Work that may block, as long as a disk takes. It runs in one piece when that time is over, so
 * that whoever reads or writes what it uses before it is done is found out by what is read then. */
#include <assert.h>

#include "base/mem.h"
#include "io/sim/sim.h"

enum { JOB_US_MAX = 20000 };

int p2p__sim_job(struct p2p_io *io, void (*run)(void *user), void *user, struct io_job **out)
{
    struct sim_host *host = sim_host_of(io);
    struct p2p_sim *sim = host->sim;
    struct sim_job *self = p2p__alloc(sizeof(*self));
    if (!self || p2p__sim_queue_reserve(&sim->queue) < 0) {
        p2p__free(self);
        return P2P_ENOMEM;
    }
    self->host = host;
    self->run = run;
    self->user = user;
    self->event.kind = SIM_EVENT_JOB;
    list_append(&host->jobs, &self->in_host);
    p2p__sim_queue_set(&sim->queue, &self->event,
                       sim->now_us + 1 + sim_rng_next(&host->rng) % JOB_US_MAX);
    *out = &self->job;
    return 0;
}

void p2p__sim_job_fire(struct sim_job *self)
{
    self->run(self->user);
    self->job.done = true;
    self->job.wake(&self->job);
}

void p2p__sim_job_free(struct sim_job *self)
{
    list_remove(&self->in_host);
    p2p__sim_queue_release(&self->host->sim->queue, &self->event);
    p2p__free(self);
}

void p2p__sim_job_end(struct io_job *job)
{
    assert(job->done);
    p2p__sim_job_free((struct sim_job *)job);
}
