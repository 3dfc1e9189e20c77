/* What this build is made of. */
#include <p2p/p2p.h>

#include "crypto/version.h"
#include "io/version.h"
#include "store/store.h"
#include "transport/version.h"

static const char *const features[] = {"tcp",   "ws",    "wss",      "unix",   "memory",
#ifdef P2P_QUIC
                                       "quic",
#endif
#ifdef P2P_LMDB
                                       "store",
#endif
                                       "dns",   "noise", "tls",      "signed", "plaintext", "pnet",
                                       "yamux", "mplex", "identify", "ping",   "perf",      "echo"};

enum {
    FEATURES = sizeof(features) / sizeof(*features),
    CRYPTO_LIBRARIES = 3,
};

static const char *after_crypto(size_t index, const char **value)
{
    const char *name = p2p__transport_version(index, value);
    if (name)
        return name;
    /* Past the transports' libraries, the store's. */
    return index == 0 || p2p__transport_version(index - 1, value) ? p2p__store_version(value)
                                                                  : NULL;
}

int p2p_version_info(size_t index, const char **name, const char **value)
{
    *value = NULL;
    if (index < FEATURES) {
        *name = features[index];
        return 0;
    }
    index -= FEATURES;
    if (index < IO_LIBRARIES)
        *name = p2p__io_version(index, value);
    else if (index - IO_LIBRARIES < CRYPTO_LIBRARIES)
        *name = p2p__crypto_version(index - IO_LIBRARIES, value);
    else
        *name = after_crypto(index - IO_LIBRARIES - CRYPTO_LIBRARIES, value);
    return *name ? 0 : P2P_ENOENT;
}
