/* The same script for the frames that are readable. */
#define FUZZ_LAYER p2p__layer_signed
#include "noise_transport.c"
