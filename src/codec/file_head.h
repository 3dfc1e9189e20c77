/* The beginning of a small file: read before there is a host, so it may block. */
#ifndef P2P_CODEC_FILE_HEAD_H
#define P2P_CODEC_FILE_HEAD_H

#include <stdint.h>
#include <sys/types.h>

/* Up to cap bytes; their number, or -errno. A pipe is waited for as long as somebody holds its
 * other end; one that nobody opens is empty. */
ssize_t p2p__file_head(const char *path, uint8_t *out, size_t cap);

#endif
