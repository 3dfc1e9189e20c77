#include "host/rules.h"

#include <stdio.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/multiaddr.h>

#include "base/mem.h"
#include "codec/addr_facts.h"
#include "codec/ip_text.h"

/* ---- one rule ---- */

/* An IPv4 address mapped into IPv6 is the IPv4 address. */
static void unmap(uint8_t *family, uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (*family != 6 || memcmp(ip, mapped, sizeof(mapped)) != 0)
        return;
    *family = 4;
    memmove(ip, ip + 12, 4);
    memset(ip + 4, 0, 12);
}

static uint8_t width(uint8_t family)
{
    return family == 4 ? 32 : 128;
}

static void clear_behind(uint8_t ip[16], uint8_t bits)
{
    for (size_t i = 0; i < 16; i++) {
        unsigned keep = bits > 8 * i ? bits - 8 * (unsigned)i : 0;
        if (keep < 8)
            ip[i] &= (uint8_t)(0xff00u >> keep);
    }
}

static int subnet(struct rule *out, int bits)
{
    uint8_t family = out->family;
    if (bits < 0 || bits > width(family))
        return P2P_EADDR;
    if (bits >= 96) /* a shorter prefix covers more than what is mapped */
        unmap(&out->family, out->ip);
    out->bits = (uint8_t)(out->family == family ? bits : bits - 96);
    clear_behind(out->ip, out->bits);
    return 0;
}

/* 1 to 3 decimal digits, or -1. */
static int number(const char *text)
{
    int n = 0;
    size_t len = strlen(text);
    if (len < 1 || len > 3 || strspn(text, "0123456789") != len)
        return -1;
    for (; *text; text++)
        n = 10 * n + (*text - '0');
    return n;
}

/* 10.0.0.0/8, 2001:db8::1 */
static int parse_ip(const char *text, struct rule *out)
{
    size_t len = strcspn(text, "/");
    if (p2p__ip4_parse(text, len, out->ip) == 0)
        out->family = 4;
    else if (p2p__ip6_parse(text, len, out->ip) == 0)
        out->family = 6;
    else
        return P2P_EADDR;
    return subnet(out, text[len] ? number(text + len + 1) : width(out->family));
}

/* /ip4/10.0.0.0/ipcidr/8, /p2p/12D3KooW... */
static int parse_multiaddr(const char *text, struct rule *out)
{
    p2p_multiaddr addr;
    struct addr_facts facts;
    if (p2p_multiaddr_parse(text, &addr) < 0)
        return P2P_EADDR;
    if (p2p__addr_take_peer(&addr, &out->peer))
        return addr.len == 0 ? 0 : P2P_EADDR;
    p2p__addr_facts(&addr, &facts);
    if (facts.family == 0 || facts.ip_at != 0)
        return P2P_EADDR;
    out->family = facts.family;
    memcpy(out->ip, facts.ip, sizeof(out->ip));
    if (addr.len == facts.ip_end)
        return subnet(out, width(out->family));
    if (addr.len != facts.ip_end + 2 || addr.bytes[facts.ip_end] != P2P_MA_IPCIDR)
        return P2P_EADDR;
    return subnet(out, addr.bytes[facts.ip_end + 1]);
}

int p2p__rule_parse(const char *text, struct rule *out)
{
    *out = (struct rule){.bits = 0};
    if (*text == '/')
        return parse_multiaddr(text, out);
    if (strpbrk(text, ".:"))
        return parse_ip(text, out);
    return p2p_peer_id_parse(text, &out->peer) < 0 ? P2P_EADDR : 0;
}

void p2p__rule_format(const struct rule *rule, char out[RULE_TEXT_MAX])
{
    char ip[P2P__IP6_TEXT_MAX];
    if (rule->peer.len) {
        if (p2p_peer_id_format(&rule->peer, out, RULE_TEXT_MAX) < 0)
            out[0] = '\0';
        return;
    }
    if (rule->family == 4)
        p2p__ip4_format(rule->ip, ip);
    else
        p2p__ip6_format(rule->ip, ip);
    snprintf(out, RULE_TEXT_MAX, "%s/%u", ip, rule->bits);
}

bool p2p__rule_matches(const struct rule *rule, const struct rules_subject *subject)
{
    if (rule->peer.len)
        return subject->peer && p2p_peer_id_equal(&rule->peer, subject->peer);
    uint8_t family = subject->family, ip[16];
    memcpy(ip, subject->ip, sizeof(ip));
    unmap(&family, ip);
    if (rule->family != family)
        return false;
    clear_behind(ip, rule->bits);
    return memcmp(ip, rule->ip, width(family) / 8) == 0;
}

/* ---- many ---- */

static bool equal(const struct rule *a, const struct rule *b)
{
    if (a->peer.len || b->peer.len)
        return p2p_peer_id_equal(&a->peer, &b->peer);
    return a->family == b->family && a->bits == b->bits && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static struct rule *same(const struct rules *self, const struct rule *rule)
{
    for (size_t i = 0; i < self->count; i++)
        if (equal(&self->at[i], rule))
            return &self->at[i];
    return NULL;
}

int p2p__rules_add(struct rules *self, const struct rule *rule)
{
    if (same(self, rule))
        return 0;
    if (self->count == RULES_MAX)
        return P2P_ELIMIT;
    if (self->count == self->cap) {
        size_t cap = self->cap ? 2 * self->cap : 8;
        struct rule *grown = p2p__realloc(self->at, cap * sizeof(*grown));
        if (!grown)
            return P2P_ENOMEM;
        self->at = grown;
        self->cap = cap;
    }
    self->at[self->count++] = *rule;
    self->of_peers += rule->peer.len > 0;
    return 0;
}

int p2p__rules_remove(struct rules *self, const struct rule *rule)
{
    struct rule *found = same(self, rule);
    if (!found)
        return P2P_ENOENT;
    self->of_peers -= found->peer.len > 0;
    *found = self->at[--self->count];
    return 0;
}

const struct rule *p2p__rules_find(const struct rules *self, const struct rules_subject *subject)
{
    for (size_t i = 0; i < self->count; i++)
        if (p2p__rule_matches(&self->at[i], subject))
            return &self->at[i];
    return NULL;
}

void p2p__rules_fini(struct rules *self)
{
    p2p__free(self->at);
    *self = (struct rules){.at = NULL};
}
