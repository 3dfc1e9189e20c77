/* Which connections a host keeps. Above the option conns_high, connections end until conns_low are
 * left: those of the least valued peers first, and of equal ones those that came to us and carry
 * the fewest streams. Never those that are younger than conns_grace, of a protected or kept peer.
 * They end in order, with P2P_ELIMIT and the limit "conns_high", which also counts them
 * (p2p_host_refusals). A kept peer is connected to again whenever the last connection has ended.
 *
 * Like everything in p2p.h these belong to the thread of the host's loop. */
#ifndef P2P_MANAGER_H
#define P2P_MANAGER_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    P2P_TAG_MAX = 31,  /* bytes of a tag's name */
    P2P_TAGS_MAX = 16, /* names for one peer, of both kinds together */
};

/* Sets what a peer is worth under that name; its value is the sum of all. 0 takes the name away.
 * It holds whether the peer is connected or not. 0; P2P_EINVAL: an empty or too long name;
 * P2P_ELIMIT: too many names for the peer, or 4,096 peers have some; P2P_ENOMEM. */
P2P_API int p2p_host_tag(p2p_host *host, const p2p_peer_id *peer, const char *tag, int value);
/* The sum, at least INT_MIN and at most INT_MAX. */
P2P_API int p2p_host_tag_value(const p2p_host *host, const p2p_peer_id *peer);

/* Protects the peer's connections, until every name it is protected under has been taken away.
 * Returns as p2p_host_tag. */
P2P_API int p2p_host_protect(p2p_host *host, const p2p_peer_id *peer, const char *tag);
/* 1: it is still protected, under another name; 0: it is not. */
P2P_API int p2p_host_unprotect(p2p_host *host, const p2p_peer_id *peer, const char *tag);
/* tag NULL: under any name. Kept peers are protected under no name. */
P2P_API int p2p_host_is_protected(const p2p_host *host, const p2p_peer_id *peer, const char *tag);

/* Connects to the target now, and again whenever its last connection has ended: after a second, and
 * after each failure twice as long, up to five minutes, give or take a quarter. target: as in
 * p2p_host_connect, with a peer id in it; kept again, the new one counts. It may have moved: after
 * a failure the next try goes to the addresses that are known of the peer. As the option "keep". 0;
 * P2P_EADDR or P2P_EPEER: no such target; P2P_ELIMIT (as p2p_host_tag); P2P_ECLOSED, P2P_ENOMEM.
 */
P2P_API int p2p_host_keep(p2p_host *host, const char *target);
/* Its connections stay. 0 or P2P_ENOENT. */
P2P_API int p2p_host_unkeep(p2p_host *host, const p2p_peer_id *peer);

/* Ends connections down to conns_low now. Returns how many are ended. */
P2P_API size_t p2p_host_trim(p2p_host *host);

#ifdef __cplusplus
}
#endif

#endif
