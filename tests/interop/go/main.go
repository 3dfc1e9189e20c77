// The go-libp2p side of the interoperability tests. See ../README.md for the commands.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"
)

type m map[string]any

var emitLock sync.Mutex

func emit(v m) {
	emitLock.Lock()
	defer emitLock.Unlock()
	json.NewEncoder(os.Stdout).Encode(v)
}

type options struct{ transport, security, muxer, keyType, port, psk, web string }

func parse(args []string) (o options, rest []string, err error) {
	o = options{"tcp", "noise", "yamux", "ed25519", "0", "", ""}
	names := map[string]*string{"--transport": &o.transport, "--security": &o.security,
		"--muxer": &o.muxer, "--key-type": &o.keyType, "--port": &o.port,
		"--psk": &o.psk, "--web": &o.web}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "--") {
			rest = append(rest, args[i])
			continue
		}
		p, known := names[args[i]]
		if !known || i+1 == len(args) {
			return o, nil, fmt.Errorf("option %s: unknown or without a value", args[i])
		}
		i++
		*p = args[i]
	}
	return o, rest, nil
}

func newKey(keyType string) (crypto.PrivKey, error) {
	types := map[string]int{"ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1,
		"ecdsa": crypto.ECDSA, "rsa": crypto.RSA}
	t, ok := types[keyType]
	if !ok {
		return nil, fmt.Errorf("key type %s is not available here", keyType)
	}
	k, _, err := crypto.GenerateKeyPairWithReader(t, 2048, rand.Reader)
	return k, err
}

func muxerID(name string) (string, error) {
	switch name {
	case "yamux":
		return yamux.ID, nil
	case "mplex":
		// Only ever offered, to have nothing in common with the other side.
		return "/mplex/6.7.0", nil
	}
	return "", fmt.Errorf("muxer %s is not available here", name)
}

// webTLS serves the certificate of a file, with its key, and trusts it.
func webTLS(file string) (serve, trust *tls.Config, err error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	cert, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}, nil
}

func transportOption(o options) (libp2p.Option, string, error) {
	addr := "/ip4/127.0.0.1/tcp/" + o.port
	switch o.transport {
	case "tcp":
		return libp2p.Transport(tcp.NewTCPTransport), addr, nil
	case "ws":
		return libp2p.Transport(websocket.New), addr + "/ws", nil
	case "quic":
		return libp2p.Transport(libp2pquic.NewTransport), "/ip4/127.0.0.1/udp/" + o.port + "/quic-v1", nil
	case "wss":
		serve, trust, err := webTLS(o.web)
		if err != nil {
			return nil, "", err
		}
		return libp2p.Transport(websocket.New, websocket.WithTLSConfig(serve),
			websocket.WithTLSClientConfig(trust)), addr + "/tls/ws", nil
	}
	return nil, "", fmt.Errorf("transport %s is not available here", o.transport)
}

func securityOption(name string) (libp2p.Option, error) {
	switch name {
	case "noise":
		return libp2p.Security(noise.ID, noise.New), nil
	case "tls":
		return libp2p.Security(libp2ptls.ID, libp2ptls.New), nil
	}
	return nil, fmt.Errorf("security %s is not available here", name)
}

// private is no option at all without a file.
func private(file string) (libp2p.Option, error) {
	if file == "" {
		return libp2p.ChainOptions(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	psk, err := pnet.DecodeV1PSK(f)
	return libp2p.PrivateNetwork(psk), err
}

func newHost(o options, listens bool) (host.Host, error) {
	transport, addr, err := transportOption(o)
	if err != nil {
		return nil, err
	}
	security, err := securityOption(o.security)
	if err != nil {
		return nil, err
	}
	members, err := private(o.psk)
	if err != nil {
		return nil, err
	}
	muxer, err := muxerID(o.muxer)
	if err != nil {
		return nil, err
	}
	key, err := newKey(o.keyType)
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		transport,
		security,
		members,
		libp2p.Muxer(muxer, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UserAgent("interop-go"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
	if listens {
		opts = append(opts, libp2p.ListenAddrStrings(addr))
	} else {
		opts = append(opts, libp2p.NoListenAddrs)
	}
	return libp2p.New(opts...)
}

func target(s string) (*peer.AddrInfo, error) {
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return nil, err
	}
	return peer.AddrInfoFromP2pAddr(a)
}

func dial(o options, addr, name string, args []string) (m, error) {
	info, err := target(addr)
	if err != nil {
		return nil, err
	}
	h, err := newHost(o, false)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	ctx := context.Background()
	if name == "wrong-peer" {
		return wrongPeer(ctx, h, info)
	}
	test, ok := tests[name]
	if !ok {
		return nil, fmt.Errorf("no test named %s", name)
	}
	if name == "identify" {
		return test(ctx, h, info, args)
	}
	connecting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := h.Connect(connecting, *info); err != nil {
		return nil, err
	}
	r, err := test(ctx, h, info, args)
	if r == nil {
		r = m{}
	}
	r["peer"] = h.ID().String()
	return r, err
}

// report prints the one result line and returns the exit code.
func report(name string, run func() (m, error)) int {
	start := time.Now()
	r, err := run()
	if r == nil {
		r = m{}
	}
	r["event"], r["test"], r["ok"] = "result", name, err == nil
	if _, given := r["seconds"]; !given {
		r["seconds"] = time.Since(start).Seconds()
	}
	if err != nil {
		r["error"] = err.Error()
	}
	emit(r)
	if err != nil {
		return 1
	}
	return 0
}

func run() int {
	o, args, err := parse(os.Args[1:])
	switch {
	case err != nil:
	case len(args) == 1 && (args[0] == "listen" || args[0] == "bench-server"):
		err = listen(o)
	case len(args) >= 3 && args[0] == "dial":
		return report(args[2], func() (m, error) { return dial(o, args[1], args[2], args[3:]) })
	case len(args) >= 4 && args[0] == "bench":
		return report("bench-"+args[2], func() (m, error) { return bench(o, args[1], args[2], args[3:]) })
	default:
		err = errors.New("usage: peer listen | bench-server | dial ADDR TEST [ARG]... | bench ADDR KIND ARG...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

func main() { os.Exit(run()) }
