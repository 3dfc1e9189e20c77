#include "host/target.h"

#include <stdio.h>

#include "codec/addr_facts.h"
#include "host/host.h"
#include "host/resolve.h"

/* Only a /dnsaddr needs no peer id. */
static bool may_lack_peer(const p2p_multiaddr *addr)
{
    p2p_multiaddr_component first = {.code = 0};
    size_t at = 0;
    return p2p_multiaddr_next(addr, &at, &first) == 1 && first.code == P2P_MA_DNSADDR;
}

static int parse_addr(const p2p_host *host, const char *text, struct target *out, char *why,
                      size_t why_cap)
{
    int rc = p2p_multiaddr_parse_why(text, &out->addr, why, why_cap);
    if (rc < 0)
        return rc;
    p2p_multiaddr bare = out->addr;
    struct transport *transport;
    const char *sentence;
    bool named = p2p__resolve_has_name(&bare), proves = p2p__addr_take_peer(&bare, &out->peer);
    rc = named ? 0 : p2p__transport_find(host, &bare, &transport, &sentence);
    if (rc < 0) {
        snprintf(why, why_cap, "cannot dial %.200s: %s", text, sentence);
        return rc;
    }
    if (!proves && !(named && may_lack_peer(&bare))) {
        snprintf(why, why_cap, "the address %.200s must end in /p2p/PEERID", text);
        return P2P_EADDR;
    }
    out->kind = named ? TARGET_NAME : TARGET_ADDR;
    if (!named)
        out->addr = bare;
    return 0;
}

int p2p__target_parse(const p2p_host *host, const char *text, struct target *out, char *why,
                      size_t why_cap)
{
    *out = (struct target){.kind = TARGET_PEER};
    if (text[0] == '/')
        return parse_addr(host, text, out, why, why_cap);
    int rc = p2p_peer_id_parse(text, &out->peer);
    if (rc < 0)
        snprintf(why, why_cap, "\"%.100s\" is neither a multiaddr nor a peer id", text);
    return rc;
}
