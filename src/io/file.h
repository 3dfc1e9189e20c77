/* Small files that a host is configured with. These functions block: call them before there is
 * anything to delay, or for what is rare. */
#ifndef P2P_IO_FILE_H
#define P2P_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Differs when the file is another one, or was written to. All zero: there is none. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t changed_s, changed_ns;
};

void p2p__file_stamp(const char *path, struct file_stamp *out);
bool p2p__file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

/* The whole file, at most max bytes; p2p__wipe and p2p__free it. 0, or an errno (EFBIG: longer). */
int p2p__file_read(const char *path, size_t max, char **out, size_t *out_len);

#endif
