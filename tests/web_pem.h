/* A certificate that signs itself, for node.example and some addresses, and its key: where tests
 * need the same one in every run. Valid from 1976 to 3000. */
#ifndef P2P_TESTS_WEB_PEM_H
#define P2P_TESTS_WEB_PEM_H

static const char web_pem_cert[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBSjCB8aADAgECAgYH/+p3gdcwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEdGVz\n"
    "dDAgFw03NjA1MDMxOTMzMjBaGA8zMDAwMDEwMTAwMDAwMFowDzENMAsGA1UEAwwE\n"
    "dGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMYiYSm2GAv3CGyiVH0mtnWB\n"
    "Xu445PFI1irI+uLZuFLc65O5Kj7sf+I+c7yuEYkHBmxt9ID2xRXoYSt8/w9Xzyaj\n"
    "NzA1MDMGA1UdEQQsMCqCDG5vZGUuZXhhbXBsZYIOKi5ub2RlLmV4YW1wbGWHBH8A\n"
    "AAGHBAoAAAEwCgYIKoZIzj0EAwIDSAAwRQIgd3b83e0GSCsom/bdRQepbossoqly\n"
    "k6PeX3TK0rAXPqsCIQD71cOaWi2PRmNHKn5A+2Zs87agKkupxyMi8xbLh5vNBA==\n"
    "-----END CERTIFICATE-----\n";

static const char web_pem_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfxE0OouQ1KjArspK\n"
    "bEbaIGNZOqQ2vntwW4Edf4FOyeuhRANCAATGImEpthgL9whsolR9JrZ1gV7uOOTx\n"
    "SNYqyPri2bhS3OuTuSo+7H/iPnO8rhGJBwZsbfSA9sUV6GErfP8PV88m\n"
    "-----END PRIVATE KEY-----\n";

#endif
