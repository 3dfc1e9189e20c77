/* A store's file as it comes from the disk: whatever the check lets pass, LMDB must survive. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tests/store_sum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/p2p-fuzz-store-XXXXXX", why[STORE_WHY_MAX];
    struct store *store;
    struct store_batch batch;
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
    if (p2p__store_file(path, 1 << 20, &store, why, sizeof(why)) == 0) {
        p2p__store_batch_init(&batch);
        (void)p2p__store_batch_put(&batch, "key", 3, data, size < 5000 ? size : 5000);
        store_sum(store, NULL, 0);
        (void)store->ops->commit(store, &batch);
        (void)store->ops->commit(store, &batch);
        store_sum(store, "k", 1);
        p2p__store_batch_fini(&batch);
        store->ops->close(store);
    }
    (void)remove(path);
    return 0;
}
