#include "transport/version.h"

#ifdef P2P_QUIC
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#endif

const char *p2p__transport_version(size_t index, const char **version)
{
    *version = NULL;
#ifdef P2P_QUIC
    if (index == 0) {
        *version = ngtcp2_version(0)->version_str;
        return "ngtcp2";
    }
    if (index == 1) {
        *version = gnutls_check_version(NULL);
        return "gnutls";
    }
#endif
    (void)index;
    return (const char *)0;
}
