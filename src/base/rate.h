/* An allowance that refills: so many at once, and one more each interval. One number is its state:
 * when it will be full again (the "generic cell rate algorithm"); zero is a full one. */
#ifndef P2P_BASE_RATE_H
#define P2P_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t full_us;
};

/* Whether one can be had; interval_us 0: always. */
static inline bool rate_ready(const struct rate *self, uint64_t now_us, uint64_t interval_us,
                              uint32_t burst)
{
    uint64_t owed = self->full_us > now_us ? self->full_us - now_us : 0;
    return interval_us == 0 || (burst && owed <= (uint64_t)(burst - 1) * interval_us);
}

static inline void rate_spend(struct rate *self, uint64_t now_us, uint64_t interval_us)
{
    self->full_us = (self->full_us > now_us ? self->full_us : now_us) + interval_us;
}

static inline bool rate_take(struct rate *self, uint64_t now_us, uint64_t interval_us,
                             uint32_t burst)
{
    if (!rate_ready(self, now_us, interval_us, burst))
        return false;
    rate_spend(self, now_us, interval_us);
    return true;
}

static inline bool rate_is_full(const struct rate *self, uint64_t now_us)
{
    return self->full_us <= now_us;
}

#endif
