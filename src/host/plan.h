/* In what order a dial tries its addresses, and when: so that the best path that works wins, and
 * the ones that are silent cost little (Happy Eyeballs, RFC 8305, for more than two kinds).
 *
 * Addresses of this network and public ones are tried side by side, each in their own order: QUIC
 * before TCP before WebSocket, IPv6 and IPv4 in turn, a step apart, or at once when nothing of the
 * kind is under way any more. Relays come half a second later, unless all else has failed. What
 * failed lately, or goes where nothing came through lately, waits for everything else. */
#ifndef P2P_HOST_PLAN_H
#define P2P_HOST_PLAN_H

#include "codec/addr_facts.h"

enum {
    PLAN_MAX = 64,             /* addresses of one dial */
    PLAN_AT_ONCE = 8,          /* of them under way together */
    PLAN_STEP_US = 250 * 1000, /* RFC 8305, section 5 */
    PLAN_STEP_LOCAL_US = 30 * 1000,
    PLAN_RELAY_US = 500 * 1000,
    PLAN_LAST_US = 1000 * 1000,
};

enum plan_group {
    PLAN_LOCAL,
    PLAN_PUBLIC,
    PLAN_RELAY,
    PLAN_LAST,
    PLAN_GROUPS,
};

struct plan_item {
    uint8_t group, class, family;
    bool started, over;
};

struct plan {
    struct plan_item items[PLAN_MAX];
    uint32_t count, under_way;
    uint64_t next_us[PLAN_GROUPS]; /* when another one of the group may start beside the others */
    uint8_t last_class[PLAN_GROUPS], last_family[PLAN_GROUPS];
};

/* Its index, or -1: there are PLAN_MAX. last: it waits for all others. */
int p2p__plan_add(struct plan *self, const struct addr_facts *facts, bool last, uint64_t now_us);
/* Which one to start now, or -1; then *wake_us is when to ask again (UINT64_MAX: once one is over).
 */
int p2p__plan_next(const struct plan *self, uint64_t now_us, uint64_t *wake_us);
void p2p__plan_start(struct plan *self, int index, uint64_t now_us);
/* It will not be tried. */
void p2p__plan_skip(struct plan *self, int index);
/* It was skipped, and may be tried now. */
void p2p__plan_allow(struct plan *self, int index);
void p2p__plan_over(struct plan *self, int index);
/* It is to be started once more. */
void p2p__plan_again(struct plan *self, int index);
/* Nothing is under way, and nothing left. */
bool p2p__plan_done(const struct plan *self);

#endif
