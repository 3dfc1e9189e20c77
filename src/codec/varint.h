/* Two kinds of base-128 integers. libp2p and multiformats use unsigned-varint: at most 9 bytes
 * (63 bits) and always the shortest form. Protobuf uses up to 10 bytes (64 bits) and tolerates
 * needless ones. */
#ifndef P2P_CODEC_VARINT_H
#define P2P_CODEC_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define P2P__VARINT_MAX    9  /* bytes; unsigned-varint's "practical maximum" */
#define P2P__PB_VARINT_MAX 10 /* bytes; 64 bits, seven at a time */

/* unsigned-varint. Bytes used (> 0), 0 when more are needed, P2P_EPROTO when longer than nine
 * bytes or not minimal. The ninth byte decides: nothing reads on after it. */
int p2p__varint_decode(const uint8_t *in, size_t in_len, uint64_t *out);

/* The protobuf kind. Bytes used (> 0), 0 when more are needed, P2P_EPROTO above 2^64-1. */
int p2p__pb_varint_decode(const uint8_t *in, size_t in_len, uint64_t *out);

/* Bytes that p2p__varint_encode writes for this value, 1 to 10. */
size_t p2p__varint_len(uint64_t value);

/* The shortest form, valid as either kind below 2^63. Returns the bytes written; `out` must have
 * room for p2p__varint_len(value). */
size_t p2p__varint_encode(uint64_t value, uint8_t *out);

/* One length-prefixed frame (unsigned-varint, then that many bytes) at the head of `in`, as a view
 * into it. Bytes used, prefix included (> 0), 0 when more are needed, P2P_ETOOBIG as soon as the
 * prefix announces more than `body_max`, P2P_EPROTO for a bad prefix. */
int64_t p2p__frame_decode(const uint8_t *in, size_t in_len, size_t body_max, const uint8_t **body,
                          size_t *body_len);

#endif
