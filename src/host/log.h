/* The log: a sentence for an operator, by level and noun, through p2p_host_events.on_log. */
#ifndef P2P_HOST_LOG_H
#define P2P_HOST_LOG_H

#include <p2p/p2p.h>

#include <stdbool.h>

#include "base/rate.h"

enum log_noun { LOG_LISTEN, LOG_CONN, LOG_DIAL, LOG_LIMITS, LOG_NOUNS };

enum {
    LOG_INTERVAL_US = 100 * 1000, /* of one noun, on average; */
    LOG_BURST = 10,               /* so many at once */
    LOG_TEXT_MAX = 1024,
};

struct log {
    uint8_t up_to[LOG_NOUNS]; /* p2p_log_level; 0: nothing */
    struct rate rate[LOG_NOUNS];
    uint64_t dropped[LOG_NOUNS]; /* since the last line of that noun */
};

/* The option log, such as "warn" or "info,dial=debug": what is further right wins. P2P_EINVAL. */
int p2p__log_parse(const char *text, uint8_t up_to[LOG_NOUNS]);
/* Whether one more line may be written now; if so, how many were not before it. */
bool p2p__log_take(struct log *self, enum log_noun noun, uint64_t now_us, uint64_t *dropped);

/* What comes from a remote is escaped by the one who asks for the line. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
void p2p__log(p2p_host *host, p2p_log_level level, enum log_noun noun, const char *format, ...);

#endif
