/* One JSON object on one line. What others sent cannot leave its string. */
#ifndef P2P_SYNC_JSON_H
#define P2P_SYNC_JSON_H

#include <stdbool.h>

#include <p2p/sync.h>

struct json {
    size_t len;
    bool full;                /* it did not fit, and is no object */
    char text[P2P_EVENT_MAX]; /* NUL-terminated after json_end */
};

/* {"event":"name" */
void p2p__json_begin(struct json *self, const char *event);
/* NULL becomes null. What is not UTF-8 is escaped as in p2p__escape. */
void p2p__json_string(struct json *self, const char *key, const char *value);
/* Above 2^53, where others lose digits, a string. */
void p2p__json_uint(struct json *self, const char *key, uint64_t value);
void p2p__json_bool(struct json *self, const char *key, bool value);
void p2p__json_end(struct json *self);

#endif
