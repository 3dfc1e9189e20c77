/* A network namespace of the test program's own, with nothing but its loopback interface. Define
 * _GNU_SOURCE first. */
#ifndef P2P_TESTS_NETNS_H
#define P2P_TESTS_NETNS_H

#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* False where the system does not allow it. */
static inline bool netns_enter(void)
{
    return unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

static inline void netns_loopback(bool up)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

/* fe80::1 on the loopback interface, which has no link-local address by itself. */
static inline void netns_add_link_local(void)
{
    struct in6_ifreq request = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex("lo")};
    request.ifr6_addr.s6_addr[0] = 0xfe;
    request.ifr6_addr.s6_addr[1] = 0x80;
    request.ifr6_addr.s6_addr[15] = 1;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    /* The kernel calls a new address tentative for a moment; until then nothing can be bound to it.
     */
    struct sockaddr_in6 at = {.sin6_family = AF_INET6,
                              .sin6_addr = request.ifr6_addr,
                              .sin6_scope_id = (uint32_t)request.ifr6_ifindex};
    int tries = 0;
    while (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 && tries++ < 500)
        usleep(10000);
    assert_true(tries <= 500);
    close(fd);
}

#endif
