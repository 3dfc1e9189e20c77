/* A certificate that signs itself, for node.example and 10.0.0.1, and its key: where tests need the
 * same one in every run. Valid for a hundred years from 2026. */
#ifndef P2P_TESTS_WEB_PEM_H
#define P2P_TESTS_WEB_PEM_H

static const char web_pem_cert[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBlTCCATqgAwIBAgIUJ4Uhb+Lbz9MbVoUx18+2rY4XhT0wCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjYxODUwNTNaGA8yMTI2MTEwMjE4NTA1\n"
    "M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCGc\n"
    "faokQWeKZRa6J8n6Y3Q3f7x36hobykF7GHqbUxdBFqHxETOasrp/NZ/waOrFi8Gc\n"
    "BPViHLx5cE5yXFX37QijcjBwMB0GA1UdDgQWBBQty3fh9VB0AYH7JUQxNNbChV2n\n"
    "izAfBgNVHSMEGDAWgBQty3fh9VB0AYH7JUQxNNbChV2nizAPBgNVHRMBAf8EBTAD\n"
    "AQH/MB0GA1UdEQQWMBSCDG5vZGUuZXhhbXBsZYcECgAAATAKBggqhkjOPQQDAgNJ\n"
    "ADBGAiEAsa7Org+7pvHBHSKB4pQIZW45ZPgTs4FF+GiHYvMg0RYCIQDM++YzFxeM\n"
    "mcl7P+vYGd2hA3kOyxQY0nuXIyCUcy55iw==\n"
    "-----END CERTIFICATE-----\n";

static const char web_pem_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFEw3YD4WLamUV3aG\n"
    "vcTtq/1pu6GgebujEN4GB5YCV2uhRANCAAQhnH2qJEFnimUWuifJ+mN0N3+8d+oa\n"
    "G8pBexh6m1MXQRah8REzmrK6fzWf8GjqxYvBnAT1Yhy8eXBOclxV9+0I\n"
    "-----END PRIVATE KEY-----\n";

#endif
