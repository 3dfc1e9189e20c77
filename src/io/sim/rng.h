/* The simulation's dice: xoshiro256**, seeded through splitmix64 as its authors advise. Fast and
 * evenly distributed; nobody's secret depends on it. */
#ifndef P2P_IO_SIM_RNG_H
#define P2P_IO_SIM_RNG_H

#include <stdint.h>

struct sim_rng {
    uint64_t s[4];
};

static inline uint64_t sim_rng_rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* stream: independent sequences of one seed. */
static inline void sim_rng_init(struct sim_rng *self, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed ^ (stream * 0xd1342543de82ef95u);
    for (int i = 0; i < 4; i++) {
        x += 0x9e3779b97f4a7c15u;
        uint64_t z = x;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        self->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t sim_rng_next(struct sim_rng *self)
{
    uint64_t *s = self->s;
    uint64_t result = sim_rng_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = sim_rng_rotl(s[3], 45);
    return result;
}

/* 0..below - 1; the bias of the remainder does not matter here. */
static inline uint64_t sim_rng_below(struct sim_rng *self, uint64_t below)
{
    return below ? sim_rng_next(self) % below : 0;
}

#endif
