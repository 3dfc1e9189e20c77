/* What this build is made of. */
#include <p2p/p2p.h>

#include "crypto/version.h"
#include "io/version.h"

static const char *const features[] = {"tcp",   "noise", "tls",      "signed", "plaintext", "pnet",
                                       "yamux", "mplex", "identify", "ping",   "perf",      "echo"};

enum {
    FEATURES = sizeof(features) / sizeof(*features),
};

int p2p_version_info(size_t index, const char **name, const char **value)
{
    *value = NULL;
    if (index < FEATURES) {
        *name = features[index];
        return 0;
    }
    index -= FEATURES;
    if (index == 0) {
        *name = "libuv";
        *value = p2p__io_version();
        return 0;
    }
    *name = p2p__crypto_version(index - 1, value);
    return *name ? 0 : P2P_ENOENT;
}
