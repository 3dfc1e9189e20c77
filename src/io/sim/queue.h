/* The one heap of events, ordered by time, then by when they were set: a 4-ary heap in an array, so
 * that a sift touches few cache lines however many machines there are.
 *
 * An event is a part of what it is about. Its slot is reserved when that object is made, so that
 * setting it never fails. */
#ifndef P2P_IO_SIM_QUEUE_H
#define P2P_IO_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NEVER UINT64_MAX

enum sim_event_kind {
    SIM_EVENT_HOST = 1, /* posts and the turn of a machine */
    SIM_EVENT_END,      /* something arrives at one end of a connection */
    SIM_EVENT_USER,
    SIM_EVENT_QUERY, /* the name service answers */
    SIM_EVENT_DATAGRAM,
    SIM_EVENT_JOB, /* work beside the loop is done */
};

struct sim_event {
    uint32_t pos; /* in the heap, counted from 1; 0: not set */
    uint8_t kind;
};

struct sim_slot {
    uint64_t at_us, sequence;
    struct sim_event *event;
};

struct sim_queue {
    struct sim_slot *slots;
    uint32_t count, cap, reserved;
    uint64_t sequence;
};

/* Room for one more event: 0 or P2P_ENOMEM. */
int p2p__sim_queue_reserve(struct sim_queue *self);
/* The event is gone: takes it out if it is set. */
void p2p__sim_queue_release(struct sim_queue *self, struct sim_event *event);
/* SIM_NEVER takes it out. Set to the time that it has, it keeps its place. */
void p2p__sim_queue_set(struct sim_queue *self, struct sim_event *event, uint64_t at_us);
/* The earliest, taken out, or NULL. */
struct sim_event *p2p__sim_queue_pop(struct sim_queue *self);

static inline uint64_t sim_queue_at(const struct sim_queue *self)
{
    return self->count ? self->slots[0].at_us : SIM_NEVER;
}

#endif
