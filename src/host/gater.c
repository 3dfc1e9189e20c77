#include "host/gater.h"

#include <stdio.h>
#include <string.h>

#include "codec/addr_facts.h"
#include "host/host.h"
#include "transport/ip.h"

/* ---- one question ---- */

static void subject_of(const p2p_peer_id *peer, const p2p_multiaddr *addr,
                       struct rules_subject *out)
{
    struct addr_facts facts;
    *out = (struct rules_subject){.peer = peer};
    if (!addr)
        return;
    p2p__addr_facts(addr, &facts);
    out->family = facts.family;
    memcpy(out->ip, facts.ip, sizeof(out->ip));
}

/* NULL, or the list that refuses. *rule: the rule that denies, or NULL. */
static const char *by_rules(const struct gater *self, const struct rules_subject *subject,
                            const struct rule **rule)
{
    *rule = p2p__rules_find(&self->deny, subject);
    if (*rule)
        return "deny";
    if (self->allow.count == 0 || p2p__rules_find(&self->allow, subject))
        return NULL;
    /* Who it is may allow it still. */
    return !subject->peer && self->allow.of_peers ? NULL : "allow";
}

static const char *ask(p2p_host *host, const p2p_gate_question *question)
{
    const struct gater *self = &host->gater;
    return self->gate && self->gate(host, question, self->user) ? "gate" : NULL;
}

static const char *judge(p2p_host *host, const p2p_gate_question *question,
                         const struct rule **rule)
{
    struct rules_subject subject;
    *rule = NULL;
    if (!host->gater.allow.count && !host->gater.deny.count && !host->gater.gate)
        return NULL;
    subject_of(question->peer, question->addr, &subject);
    const char *name = by_rules(&host->gater, &subject, rule);
    return name ? name : ask(host, question);
}

/* ---- its three stages ---- */

const char *p2p__gate_dial(p2p_host *host, const p2p_peer_id *peer, const p2p_multiaddr *addr,
                           char why[GATER_WHY_MAX])
{
    const p2p_gate_question question = {.size = sizeof(question),
                                        .stage = P2P_GATE_DIAL,
                                        .peer = peer,
                                        .addr = addr,
                                        .outbound = 1};
    const struct rule *rule;
    char text[RULE_TEXT_MAX];
    const char *name = judge(host, &question, &rule);
    if (!name)
        return NULL;
    p2p__refused(host, name, "a dial was denied");
    if (rule) {
        p2p__rule_format(rule, text);
        snprintf(why, GATER_WHY_MAX, "the rule deny %s denies it", text);
    } else if (strcmp(name, "allow") == 0) {
        snprintf(why, GATER_WHY_MAX, "no rule allows it");
    } else {
        snprintf(why, GATER_WHY_MAX, "the application denies it");
    }
    return name;
}

/* As the transport would write it: nothing but the address and port is known yet. */
static bool addr_of(const struct passage *passage, p2p_multiaddr *out)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    if (!passage->remote.family)
        return false;
    p2p__ip_format(&passage->remote, out);
    int64_t len = p2p_multiaddr_format(out, text, sizeof(text));
    if (len < 0)
        return false;
    snprintf(text + len, sizeof(text) - (size_t)len,
             passage->session ? "/udp/%u/quic-v1" : "/tcp/%u", passage->remote.port);
    return p2p_multiaddr_parse(text, out) == 0;
}

const char *p2p__gate_accept(p2p_host *host, const struct passage *passage)
{
    struct gater *self = &host->gater;
    if (!self->allow.count && !self->deny.count && !self->gate)
        return NULL;
    p2p_multiaddr addr;
    const p2p_gate_question question = {.size = sizeof(question),
                                        .stage = P2P_GATE_ACCEPT,
                                        .addr = addr_of(passage, &addr) ? &addr : NULL};
    const struct rule *rule;
    /* Without an address there is nothing for rules to say until the peer is known. */
    const char *name = question.addr ? judge(host, &question, &rule) : ask(host, &question);
    if (name)
        p2p__refused(host, name, "an inbound connection was denied");
    return name;
}

static const char *judge_conn(p2p_host *host, const p2p_conn *conn, bool rules_only)
{
    p2p_multiaddr addr;
    const struct rule *rule;
    struct rules_subject subject;
    conn->transport->ops->addr(conn->transport, conn, true, &addr);
    const p2p_gate_question question = {.size = sizeof(question),
                                        .stage = P2P_GATE_SECURED,
                                        .peer = &conn->peer,
                                        .addr = addr.len ? &addr : NULL,
                                        .outbound = conn->outbound};
    if (!rules_only)
        return judge(host, &question, &rule);
    subject_of(question.peer, question.addr, &subject);
    return by_rules(&host->gater, &subject, &rule);
}

const char *p2p__gate_secured(p2p_host *host, p2p_conn *conn)
{
    struct gater *self = &host->gater;
    if (!self->allow.count && !self->deny.count && !self->gate)
        return NULL;
    const char *name = judge_conn(host, conn, false);
    if (name)
        p2p__refused(host, name, "a peer was denied");
    return name;
}

/* ---- rules come and go ---- */

static void end_denied(p2p_host *host)
{
    for (struct list *node = host->conns.next; node != &host->conns;) {
        p2p_conn *conn = P2P__CONTAINER(node, p2p_conn, all);
        const struct conn_entry *entry = conn->owner_data;
        node = node->next;
        const char *name = entry->peer ? judge_conn(host, conn, true) : NULL;
        if (!name)
            continue;
        p2p__refused(host, name, "a connection was ended, because its peer is denied now");
        p2p__conn_end(conn, (struct ending){.code = P2P_EDENIED,
                                            .limit = name,
                                            .message = "the peer is denied from now on"});
    }
}

static int add(struct rules *rules, const char *text)
{
    struct rule rule;
    int rc = p2p__rule_parse(text, &rule);
    return rc < 0 ? rc : p2p__rules_add(rules, &rule);
}

static int take_back(struct rules *rules, const char *text)
{
    struct rule rule;
    int rc = p2p__rule_parse(text, &rule);
    return rc < 0 ? rc : p2p__rules_remove(rules, &rule);
}

int p2p_host_allow(p2p_host *host, const char *rule)
{
    return add(&host->gater.allow, rule);
}

int p2p_host_deny(p2p_host *host, const char *rule)
{
    int rc = add(&host->gater.deny, rule);
    if (rc == 0)
        end_denied(host);
    return rc;
}

int p2p_host_unallow(p2p_host *host, const char *rule)
{
    return take_back(&host->gater.allow, rule);
}

int p2p_host_undeny(p2p_host *host, const char *rule)
{
    return take_back(&host->gater.deny, rule);
}

void p2p_host_set_gate(p2p_host *host, p2p_gate_cb gate, void *user)
{
    host->gater.gate = gate;
    host->gater.user = user;
}

static int add_list(struct rules *rules, const char *name, const char *list, char *why,
                    size_t why_cap)
{
    char text[RULE_TEXT_MAX];
    for (; *list; list += *list == ',') {
        size_t len = strcspn(list, ",");
        int rc = P2P_EADDR;
        snprintf(text, sizeof(text), "%.*s", (int)len, list);
        if (len < sizeof(text))
            rc = add(rules, text);
        if (rc < 0) {
            snprintf(why, why_cap, "option %s: \"%s\" is %s", name, text,
                     rc == P2P_EADDR ? "no peer id, address or subnet" : "one rule too many");
            return rc;
        }
        list += len;
    }
    return 0;
}

int p2p__gater_init(p2p_host *host, char *why, size_t why_cap)
{
    struct gater *self = &host->gater;
    int rc =
        add_list(&self->allow, "allow", p2p__config_text(host->config, OPTION_ALLOW), why, why_cap);
    return rc < 0 ? rc
                  : add_list(&self->deny, "deny", p2p__config_text(host->config, OPTION_DENY), why,
                             why_cap);
}

void p2p__gater_fini(p2p_host *host)
{
    p2p__rules_fini(&host->gater.allow);
    p2p__rules_fini(&host->gater.deny);
}
