#define _POSIX_C_SOURCE 200809L
#include "io/gate.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

bool p2p__gate_init(struct gate *self)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&self->mutex, NULL) != 0)
        return false;
    int rc = pthread_condattr_init(&attr);
    if (rc == 0) {
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (rc == 0)
            rc = pthread_cond_init(&self->cond, &attr);
        pthread_condattr_destroy(&attr);
    }
    if (rc != 0)
        pthread_mutex_destroy(&self->mutex);
    return rc == 0;
}

void p2p__gate_fini(struct gate *self)
{
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
}

bool p2p__gate_wait(struct gate *self, uint64_t deadline_ns)
{
    if (deadline_ns == GATE_NOW)
        return false;
    if (deadline_ns == GATE_NEVER)
        return pthread_cond_wait(&self->cond, &self->mutex) == 0;
    const struct timespec at = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    return pthread_cond_timedwait(&self->cond, &self->mutex, &at) != ETIMEDOUT;
}

uint64_t p2p__gate_deadline(uint32_t timeout_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec +
           (uint64_t)timeout_ms * UINT64_C(1000000);
}
