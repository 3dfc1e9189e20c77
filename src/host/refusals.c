#include "host/refusals.h"

#include <string.h>

#include "host/host.h"

#define WINDOW_US (1000 * 1000)

/* Of the options that set them. */
static const char *const names[] = {
    "conns_in",
    "conns_out",
    "conns_per_peer",
    "conns_per_ip",
    "conns_per_56",
    "conns_per_subnet",
    "conn_interval",
    "half_open",
    "fds",
    "half_open_per_ip",
    "streams_total",
    "streams_in",
    "streams_out",
    "protocol_streams",
    "streams_per_protocol",
    "stream_resets",
    "memory",
    "memory_per_conn",
    "memory_per_peer",
    "mplex_unread",
    "conns_high",
    "allow",
    "deny",
    "gate",
};

enum { COUNT = sizeof(names) / sizeof(*names) };

_Static_assert((int)COUNT <= (int)LIMITS_MAX, "one counter each");

const char *p2p__limit_name(size_t index)
{
    return index < COUNT ? names[index] : NULL;
}

uint64_t p2p__refusals_of(const p2p_host *host, size_t index)
{
    return host->refusals.of[index].count;
}

static void fire(struct timer *timer)
{
    p2p_host *host = P2P__CONTAINER(timer, p2p_host, refusals.timer);
    p2p__work_mark(&host->shard, &host->work);
}

void p2p__refused(p2p_host *host, const char *name, const char *message)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        host->refusals.of[i].count++;
        host->refusals.of[i].message = message;
        p2p__work_mark(&host->shard, &host->work);
    }
}

static void tell(p2p_host *host, size_t i)
{
    struct refusal *refusal = &host->refusals.of[i];
    const p2p_error why = {
        .size = sizeof(why), .code = P2P_ELIMIT, .limit = names[i], .message = refusal->message};
    refusal->told = refusal->count;
    p2p__log(host, P2P_LOG_WARN, LOG_LIMITS, "%s: %s (%llu refused so far)", names[i],
             refusal->message, (unsigned long long)refusal->count);
    if (host->events && host->events->on_limit)
        host->events->on_limit(host, &why, host->events_user);
}

void p2p__refusals_tell(p2p_host *host)
{
    struct refusals *self = &host->refusals;
    struct shard *shard = &host->shard;
    if (shard->now_us - self->window_us >= WINDOW_US) {
        self->window_us = shard->now_us;
        self->window_count = 0;
    }
    self->timer.fire = fire;
    bool waiting = false;
    size_t first = self->next;
    for (size_t n = 0; n < COUNT; n++) {
        size_t i = (first + n) % COUNT;
        if (self->of[i].count == self->of[i].told)
            continue;
        if (self->window_count == LIMIT_EVENTS_PER_S || host->closing) {
            waiting = true;
            break;
        }
        self->window_count++;
        self->next = i + 1; /* the others first, next time */
        tell(host, i);
    }
    timer_set(shard, &self->timer,
              waiting && !host->closing ? self->window_us + WINDOW_US : HEAP_NEVER);
}
