/* A lock and what waits for a change below it, with absolute deadlines on the monotonic clock. For
 * the blocking API and nothing else: protocol code has no locks. */
#ifndef P2P_IO_GATE_H
#define P2P_IO_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

#define GATE_NEVER UINT64_MAX /* a deadline that does not come */
#define GATE_NOW   0          /* one that has passed */

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

/* False when the system has no memory for one. */
bool p2p__gate_init(struct gate *self);
void p2p__gate_fini(struct gate *self);

static inline void gate_lock(struct gate *self)
{
    (void)pthread_mutex_lock(&self->mutex);
}

static inline void gate_unlock(struct gate *self)
{
    (void)pthread_mutex_unlock(&self->mutex);
}

/* Something below the lock changed: whoever waits looks again. */
static inline void gate_wake(struct gate *self)
{
    (void)pthread_cond_broadcast(&self->cond);
}

/* Gives up the lock until a wake; true then, or for no reason. False once the deadline passed. */
bool p2p__gate_wait(struct gate *self, uint64_t deadline_ns);

/* The deadline that is timeout_ms from now. */
uint64_t p2p__gate_deadline(uint32_t timeout_ms);

#endif
