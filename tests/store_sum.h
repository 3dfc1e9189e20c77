/* Reads every byte that a store has to say. */
#ifndef P2P_TESTS_STORE_SUM_H
#define P2P_TESTS_STORE_SUM_H

#include "store/store.h"

static inline bool store_sum_add(void *user, const uint8_t *key, size_t key_len,
                                 const uint8_t *value, size_t value_len)
{
    unsigned *sum = user;
    for (size_t i = 0; i < key_len; i++)
        *sum += key[i];
    for (size_t i = 0; i < value_len; i++)
        *sum += value[i];
    return true;
}

/* Of those whose key starts with prefix. */
static inline void store_sum(struct store *store, const void *prefix, size_t prefix_len)
{
    unsigned sum = 0;
    (void)store->ops->each(store, prefix, prefix_len, store_sum_add, &sum);
}

#endif
