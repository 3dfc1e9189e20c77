/* Rules about peers, addresses and subnets. */
#ifndef P2P_HOST_RULES_H
#define P2P_HOST_RULES_H

#include <stdbool.h>

#include <p2p/peer_id.h>

enum {
    RULES_MAX = 4096,
    RULE_TEXT_MAX = 128,
};

struct rule {
    p2p_peer_id peer; /* len 0: a subnet */
    uint8_t family, bits;
    uint8_t ip[16]; /* zero behind bits */
};

struct rules {
    struct rule *at;
    size_t count, cap;
    size_t of_peers; /* of count */
};

/* Whom rules are asked about. */
struct rules_subject {
    const p2p_peer_id *peer; /* or NULL */
    uint8_t family;          /* 0: no IP address */
    uint8_t ip[16];
};

/* 0, or P2P_EADDR. */
int p2p__rule_parse(const char *text, struct rule *out);
void p2p__rule_format(const struct rule *rule, char out[RULE_TEXT_MAX]);
bool p2p__rule_matches(const struct rule *rule, const struct rules_subject *subject);

/* 0, also when it is there already; P2P_ELIMIT, P2P_ENOMEM. */
int p2p__rules_add(struct rules *self, const struct rule *rule);
/* 0 or P2P_ENOENT. */
int p2p__rules_remove(struct rules *self, const struct rule *rule);
/* The first that matches, or NULL. */
const struct rule *p2p__rules_find(const struct rules *self, const struct rules_subject *subject);
void p2p__rules_fini(struct rules *self);

#endif
