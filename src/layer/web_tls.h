/* What is behind p2p__layer_web_tls, for its own files and their tests; everybody else uses the
 * table and the functions in layer.h. */
#ifndef P2P_LAYER_WEB_TLS_H
#define P2P_LAYER_WEB_TLS_H

#include "layer/tls.h"

struct x509_st;
struct evp_pkey_st;
struct stack_st_X509;

/* A certificate to be served, with its key and what leads from it to a root. */
struct web_identity {
    struct x509_st *leaf;
    struct stack_st_X509 *chain; /* intermediates; may be empty */
    struct evp_pkey_st *key;
};

/* A loop's. Handshakes under way look at the identities of now: nothing they hold goes stale. */
struct p2p__web {
    struct ssl_ctx_st *server, *client; /* made when first needed */
    struct web_identity identities[WEB_IDENTITIES_MAX];
    size_t identity_count;
    struct stack_st_X509 *roots; /* instead of the system's, or NULL */
};

struct web_handshake {
    struct tls_handshake tls; /* first: OpenSSL's callbacks get it */
    struct p2p__web *web;
};

/* web_context.c: the SSL of a new handshake. 0 or P2P_ENOMEM. */
int p2p__web_ssl_new(struct web_handshake *self);
/* Why the server's certificate was not believed, or NULL. Static storage. */
const char *p2p__web_distrust(const struct web_handshake *self);
/* The next client's handshake starts from the roots of then. */
void p2p__web_forget_client(struct p2p__web *self);

/* web_identity.c */
void p2p__web_identities_free(struct p2p__web *self);

#endif
