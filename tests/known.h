/* A host remembers whom it met; tests that compare with what was before want none of that. */
#ifndef TESTS_KNOWN_H
#define TESTS_KNOWN_H

#include <p2p/peerstore.h>

/* Forgets all that are not connected. */
static inline void forget_known(p2p_host *host)
{
    p2p_peer_id peer;
    for (size_t i = 0; p2p_host_known_peer(host, i, &peer) == 0;)
        if (p2p_host_conn(host, &peer) || p2p_host_forget(host, &peer) < 0)
            i++;
}

#endif
