/* Whom a host talks to: rules that allow and deny peers, addresses and subnets, and a callback for
 * what rules cannot say. They are asked before an address is dialed, before an inbound connection
 * is answered, and again once a peer has proven who it is. What they refuse is counted under the
 * names "deny", "allow" and "gate" (p2p_host_refusals), told by p2p_host_events.on_limit, and
 * P2P_EDENIED to who dialed.
 *
 * A rule is a peer id ("12D3KooW..." or /p2p/12D3KooW...), an address (192.0.2.7 or /ip4/192.0.2.7)
 * or a subnet (10.0.0.0/8, 2001:db8::/32 or /ip4/10.0.0.0/ipcidr/8). IPv4 addresses mapped into
 * IPv6 are judged as the IPv4 addresses they are. A rule that denies wins. If any rule allows,
 * whoever no rule allows is denied; an inbound connection is then let in until its peer is known,
 * as far as there are rules for peers. Connections without an IP address (Unix sockets,
 * descriptors, hosts of one process) are judged by their peer alone.
 *
 * Like everything in p2p.h these belong to the thread of the host's loop. */
#ifndef P2P_GATER_H
#define P2P_GATER_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Adds a rule, as the options "allow" and "deny" do; a denied peer's or subnet's connections end at
 * once, with P2P_EDENIED. Again: nothing changes. 0, P2P_EADDR (no rule), P2P_ELIMIT (4,096 rules
 * of that kind), P2P_ENOMEM. */
P2P_API int p2p_host_allow(p2p_host *host, const char *rule);
P2P_API int p2p_host_deny(p2p_host *host, const char *rule);
/* Takes a rule back; connections stay. 0, P2P_EADDR, P2P_ENOENT. */
P2P_API int p2p_host_unallow(p2p_host *host, const char *rule);
P2P_API int p2p_host_undeny(p2p_host *host, const char *rule);

typedef enum p2p_gate_stage {
    P2P_GATE_DIAL = 1,    /* an address is about to be dialed */
    P2P_GATE_ACCEPT = 2,  /* somebody has connected; nothing was said yet */
    P2P_GATE_SECURED = 3, /* the peer has proven who it is, in either direction */
} p2p_gate_stage;

/* What is asked; valid during the call. */
typedef struct p2p_gate_question {
    size_t size;
    p2p_gate_stage stage;
    const p2p_peer_id *peer;   /* NULL: not known yet */
    const p2p_multiaddr *addr; /* the remote's, without /p2p/PEER; NULL: it has none */
    int outbound;
} p2p_gate_question;

/* 0: pass; anything else: refuse. Asked after the rules, of what they let pass, and in the midst of
 * things: it decides, and calls nothing of this library that changes the host or its connections.
 */
typedef int (*p2p_gate_cb)(p2p_host *host, const p2p_gate_question *question, void *user);

/* The one callback; NULL: none. */
P2P_API void p2p_host_set_gate(p2p_host *host, p2p_gate_cb gate, void *user);

#ifdef __cplusplus
}
#endif

#endif
