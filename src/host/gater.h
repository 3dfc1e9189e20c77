/* Whom the host talks to: the rules and the callback of p2p/gater.h. */
#ifndef P2P_HOST_GATER_H
#define P2P_HOST_GATER_H

#include <p2p/gater.h>

#include "host/rules.h"

struct conn_entry;
struct passage;

struct gater {
    struct rules allow, deny;
    p2p_gate_cb gate; /* or NULL */
    void *user;
};

enum {
    GATER_WHY_MAX = RULE_TEXT_MAX + 64,
};

/* 0 or P2P_EADDR, P2P_ELIMIT, P2P_ENOMEM with a sentence. */
int p2p__gater_init(p2p_host *host, char *why, size_t why_cap);
void p2p__gater_fini(p2p_host *host);

/* Each: NULL, or the name under which it is refused ("deny", "allow", "gate"), which has been
 * counted. */
const char *p2p__gate_dial(p2p_host *host, const p2p_peer_id *peer, const p2p_multiaddr *addr,
                           char why[GATER_WHY_MAX]);
const char *p2p__gate_accept(p2p_host *host, const struct passage *passage);
const char *p2p__gate_secured(p2p_host *host, p2p_conn *conn);

#endif
