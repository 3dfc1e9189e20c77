package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	multistream "github.com/multiformats/go-multistream"
)

func bench(o options, addr, kind string, args []string) (m, error) {
	switch kind {
	case "perf":
		return dial(o, addr, "perf", args)
	case "streams":
		return benchStreams(o, addr, number(args, 0, 1000))
	case "conns":
		return benchConns(o, addr, number(args, 0, 100))
	case "idle":
		return benchIdle(o, addr, number(args, 0, 100))
	}
	return nil, fmt.Errorf("no benchmark named %s", kind)
}

func rate(n int64, start time.Time) m {
	s := time.Since(start).Seconds()
	return m{"count": n, "seconds": s, "per_second": float64(n) / s}
}

func benchStreams(o options, addr string, n int64) (m, error) {
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
	if err := h.Connect(ctx, *info); err != nil {
		return nil, err
	}
	start := time.Now()
	for range n {
		if err := echo(ctx, h, info.ID, 1, nil); err != nil {
			return nil, err
		}
	}
	return rate(n, start), nil
}

func secureTransport(name string, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (sec.SecureTransport, error) {
	if name == "tls" {
		return libp2ptls.New(libp2ptls.ID, key, muxers)
	}
	return noise.New(noise.ID, key, muxers)
}

// dialer makes bare connections, below the host: no identify and no reuse of a connection.
func dialer(o options) (transport.Transport, error) {
	if o.transport != "tcp" || o.psk != "" {
		return nil, errors.New("conns and idle are for TCP without a private network")
	}
	key, err := newKey(o.keyType)
	if err != nil {
		return nil, err
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	secure, err := secureTransport(o.security, key, muxers)
	if err != nil {
		return nil, err
	}
	nobody := &network.NullResourceManager{}
	u, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, nobody, nil)
	if err != nil {
		return nil, err
	}
	return tcp.NewTCPTransport(u, nobody, nil)
}

func connect(t transport.Transport, info *peer.AddrInfo) (transport.CapableConn, error) {
	c, err := t.Dial(context.Background(), info.Addrs[0], info.ID)
	if err != nil {
		return nil, err
	}
	go answerPings(c)
	return c, nil
}

// answerPings answers pings and nothing else. rust pings first, and if that is refused it does
// not answer ours either.
func answerPings(c transport.CapableConn) {
	serves := multistream.NewMultistreamMuxer[protocol.ID]()
	serves.AddHandler(ping.ID, nil)
	for {
		s, err := c.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			if _, _, err := serves.Negotiate(s); err != nil {
				s.Reset()
				return
			}
			io.Copy(s, s)
			s.Close()
		}()
	}
}

func pingConn(c transport.CapableConn) error {
	s, err := c.OpenStream(context.Background())
	if err != nil {
		return err
	}
	if err := multistream.SelectProtoOrFail(protocol.ID(ping.ID), s); err != nil {
		return err
	}
	if _, err := s.Write(make([]byte, ping.PingSize)); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, make([]byte, ping.PingSize)); err != nil {
		return err
	}
	return s.Close()
}

func benchConns(o options, addr string, n int64) (m, error) {
	info, err := target(addr)
	if err != nil {
		return nil, err
	}
	t, err := dialer(o)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for range n {
		c, err := connect(t, info)
		if err != nil {
			return nil, err
		}
		if err := pingConn(c); err != nil {
			return nil, err
		}
		c.Close()
	}
	return rate(n, start), nil
}

// rssBytes is the resident memory of this process.
func rssBytes() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	var kib int64
	fmt.Sscan(after, &kib)
	return kib << 10
}

// benchIdle keeps its connections until its stdin ends, so that the other side can be measured.
func benchIdle(o options, addr string, n int64) (m, error) {
	info, err := target(addr)
	if err != nil {
		return nil, err
	}
	t, err := dialer(o)
	if err != nil {
		return nil, err
	}
	before, start := rssBytes(), time.Now()
	var held []transport.CapableConn
	for range n {
		c, err := connect(t, info)
		if err != nil {
			return nil, err
		}
		held = append(held, c)
	}
	r := rate(n, start)
	time.Sleep(time.Second)
	r["rss_before_bytes"], r["rss_bytes"] = before, rssBytes()
	emit(m{"event": "idle", "connections": n, "rss_bytes": r["rss_bytes"]})
	io.Copy(io.Discard, os.Stdin)
	for _, c := range held {
		if c.IsClosed() {
			return r, net.ErrClosed
		}
		c.Close()
	}
	return r, nil
}
