#include "crypto/signer.h"

#include <string.h>

#include "base/mem.h"

const struct p2p__signer *p2p__signer_of(uint64_t type)
{
    static const struct p2p__signer *const SIGNERS[] = {
        &p2p__signer_rsa,
        &p2p__signer_ed25519,
        &p2p__signer_secp256k1,
        &p2p__signer_ecdsa,
    };
    return type < sizeof SIGNERS / sizeof *SIGNERS ? SIGNERS[type] : NULL;
}

const uint8_t *p2p__joined(const struct p2p__const_iov *msg, size_t msg_count, uint8_t *room,
                           size_t room_cap, size_t *len)
{
    size_t total = 0;
    for (size_t i = 0; i < msg_count; i++) {
        if (msg[i].len > SIZE_MAX - total) {
            return NULL;
        }
        total += msg[i].len;
    }
    *len = total;
    if (msg_count == 1 && total > 0) {
        return msg[0].base;
    }
    uint8_t *out = total <= room_cap ? room : p2p__alloc(total);
    size_t at = 0;
    for (size_t i = 0; out && i < msg_count; i++) {
        if (msg[i].len > 0) {
            memcpy(out + at, msg[i].base, msg[i].len);
            at += msg[i].len;
        }
    }
    return out;
}

void p2p__joined_free(const uint8_t *joined, const struct p2p__const_iov *msg, size_t msg_count,
                      const uint8_t *room)
{
    bool borrowed = joined == room || (msg_count == 1 && joined == msg[0].base);
    if (!borrowed) {
        p2p__free((void *)(uintptr_t)joined);
    }
}
