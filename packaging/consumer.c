#include <p2p/error.h>
#include <stdio.h>
int main(void)
{
    return puts(p2p_code_name(P2P_ECONN)) < 0;
}
