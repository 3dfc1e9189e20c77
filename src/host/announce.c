#include "host/announce.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_facts.h"
#include "host/host.h"

static int add_instead(p2p_host *host, const char *text, char *why, size_t why_cap)
{
    struct announce *self = &host->announce;
    p2p_multiaddr *addr = &self->instead[self->count];
    p2p_peer_id named;
    char reason[256];
    int rc = p2p_multiaddr_parse_why(text, addr, reason, sizeof(reason));
    if (rc < 0) {
        snprintf(why, why_cap, "option announce: %s", reason);
        return rc;
    }
    if (p2p__addr_take_peer(addr, &named) && !p2p_peer_id_equal(&named, p2p_host_peer(host))) {
        snprintf(why, why_cap, "option announce: %.200s is another peer's", text);
        return P2P_EPEERID;
    }
    self->count++;
    return 0;
}

static int add_never(p2p_host *host, const char *text, char *why, size_t why_cap)
{
    struct rule rule;
    int rc = p2p__rule_parse(text, &rule);
    if (rc == 0 && rule.peer.len)
        rc = P2P_EADDR;
    if (rc == 0)
        rc = p2p__rules_add(&host->announce.never, &rule);
    if (rc < 0)
        snprintf(why, why_cap, "option no_announce: \"%.200s\" is %s", text,
                 rc == P2P_EADDR ? "no address or subnet" : "one too many");
    return rc;
}

static int each(p2p_host *host, enum option_id option,
                int (*add)(p2p_host *, const char *, char *, size_t), char *why, size_t why_cap)
{
    const char *list = p2p__config_text(host->config, option);
    size_t count = 0;
    for (; *list; list += *list == ',') {
        char text[P2P_MULTIADDR_TEXT_MAX];
        size_t len = strcspn(list, ",");
        if (len >= sizeof(text) || (option == OPTION_ANNOUNCE && count++ == ANNOUNCE_MAX)) {
            snprintf(why, why_cap, "option %s is too long",
                     option == OPTION_ANNOUNCE ? "announce" : "no_announce");
            return P2P_ETOOBIG;
        }
        memcpy(text, list, len);
        text[len] = '\0';
        int rc = add(host, text, why, why_cap);
        if (rc < 0)
            return rc;
        list += len;
    }
    return 0;
}

int p2p__announce_init(p2p_host *host, char *why, size_t why_cap)
{
    struct announce *self = &host->announce;
    if (*p2p__config_text(host->config, OPTION_ANNOUNCE)) {
        self->instead = p2p__realloc(NULL, ANNOUNCE_MAX * sizeof(*self->instead));
        if (!self->instead)
            return P2P_ENOMEM;
    }
    int rc = each(host, OPTION_ANNOUNCE, add_instead, why, why_cap);
    return rc < 0 ? rc : each(host, OPTION_NO_ANNOUNCE, add_never, why, why_cap);
}

void p2p__announce_fini(p2p_host *host)
{
    p2p__free(host->announce.instead);
    p2p__rules_fini(&host->announce.never);
}

bool p2p__announce_may(const p2p_host *host, const p2p_multiaddr *addr)
{
    struct addr_facts facts;
    struct rules_subject subject = {.peer = NULL};
    if (!host->announce.never.count)
        return true;
    p2p__addr_facts(addr, &facts);
    subject.family = facts.family;
    memcpy(subject.ip, facts.ip, sizeof(subject.ip));
    return !p2p__rules_find(&host->announce.never, &subject);
}
