/* An I/O thread with a queue of jobs that other threads put in. Putting allocates nothing and so
 * cannot fail, and wakes the thread only when the queue was empty. */
#ifndef P2P_IO_LOOP_H
#define P2P_IO_LOOP_H

#include <stdbool.h>

#include "base/list.h"
#include "io/flag.h"
#include "io/gate.h"

struct p2p_io;

/* A part of what it is about. It may be put in again as soon as it runs. */
struct job {
    struct list node;
    void (*run)(struct job *);
};

struct loop {
    struct p2p_io *io;
    pthread_t thread;
    struct gate gate; /* over the three below */
    struct list jobs;
    struct flag bell;
    bool ended;
    bool idle; /* the thread sleeps, or is about to: the bell must ring */
};

/* 0, P2P_ENOMEM or P2P_ELIMIT (descriptors); self must be zeroed. */
int p2p__loop_init(struct loop *self);
/* Runs an io made by p2p_io_poll, with a host attached, until the host detaches; the thread then
 * runs what is queued, frees the io and ends. 0, or P2P_ENOMEM when no thread can be had. */
int p2p__loop_start(struct loop *self, struct p2p_io *io);
/* From any thread. 1: queued, it will run; 0: it is queued already; P2P_ECLOSED: the thread has
 * ended. */
int p2p__loop_put(struct loop *self, struct job *job);
bool p2p__loop_here(const struct loop *self);
/* Waits for the end of a started thread. */
void p2p__loop_join(struct loop *self);
void p2p__loop_fini(struct loop *self);

static inline void job_init(struct job *self, void (*run)(struct job *))
{
    list_init(&self->node);
    self->run = run;
}

#endif
