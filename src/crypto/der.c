#include "crypto/der.h"

#include <assert.h>

/* The length behind the tag, at most two bytes long: no key needs more. */
static bool length_next(struct p2p__der *self, size_t *len)
{
    if (self->left < 1) {
        return false;
    }
    size_t first = self->at[0];
    size_t more = first < 0x80 ? 0 : first - 0x80;
    if ((first >= 0x80 && (more < 1 || more > 2)) || self->left < 1 + more) {
        return false;
    }
    size_t value = first < 0x80 ? first : 0;
    for (size_t i = 0; i < more; i++) {
        value = value << 8 | self->at[1 + i];
    }
    if ((more == 1 && value < 0x80) || (more == 2 && value < 0x100)) {
        return false;
    }
    self->at += 1 + more;
    self->left -= 1 + more;
    *len = value;
    return true;
}

bool p2p__der_next(struct p2p__der *self, uint8_t tag, struct p2p__der *body,
                   struct p2p__der *whole)
{
    const uint8_t *start = self->at;
    size_t len = 0;
    if (self->left < 1 || self->at[0] != tag) {
        return false;
    }
    self->at++;
    self->left--;
    if (!length_next(self, &len) || len > self->left) {
        return false;
    }
    *body = (struct p2p__der){self->at, len};
    self->at += len;
    self->left -= len;
    if (whole) {
        *whole = (struct p2p__der){start, (size_t)(self->at - start)};
    }
    return true;
}

bool p2p__der_positive(struct p2p__der *self, struct p2p__der *out, struct p2p__der *whole)
{
    if (!p2p__der_next(self, P2P__DER_INTEGER, out, whole) || out->left == 0 ||
        (out->at[0] & 0x80)) {
        return false;
    }
    if (out->at[0] == 0) {
        out->at++;
        out->left--;
        return out->left > 0 && (out->at[0] & 0x80);
    }
    return true;
}

size_t p2p__der_header(uint8_t tag, size_t len, uint8_t *out)
{
    assert(len <= 0xffff);
    size_t at = 0;
    out[at++] = tag;
    if (len >= 0x100) {
        out[at++] = 0x82;
        out[at++] = (uint8_t)(len >> 8);
    } else if (len >= 0x80) {
        out[at++] = 0x81;
    }
    out[at++] = (uint8_t)len;
    return at;
}

size_t p2p__der_bits(const struct p2p__der *magnitude)
{
    if (magnitude->left == 0) {
        return 0;
    }
    size_t bits = 8 * (magnitude->left - 1);
    for (unsigned top = magnitude->at[0]; top > 0; top >>= 1) {
        bits++;
    }
    return bits;
}
