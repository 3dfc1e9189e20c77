package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

type testFunc func(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error)

var tests map[string]testFunc

func init() {
	tests = map[string]testFunc{
		"ping": pingTest, "identify": identifyTest, "echo": echoTest,
		"streams-parallel": parallelTest, "streams-sequential": sequentialTest,
		"half-close": halfCloseTest, "half-close-remote": halfCloseRemoteTest,
		"reset": resetTest, "reset-remote": resetRemoteTest, "slow-reader": slowReaderTest,
		"hash": hashTest, "unknown-protocol": unknownProtocolTest, "perf": perfTest, "soak": soakTest,
	}
}

func number(args []string, i int, otherwise int64) int64 {
	if i < len(args) {
		if n, err := strconv.ParseInt(args[i], 10, 64); err == nil {
			return n
		}
	}
	return otherwise
}

// open gives every stream a deadline, so that a test that hangs says where.
func open(ctx context.Context, h host.Host, to peer.ID, id protocol.ID) (network.Stream, error) {
	s, err := h.NewStream(ctx, to, id)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	s.SetDeadline(time.Now().Add(2 * time.Minute))
	return s, nil
}

func pingOnce(ctx context.Context, h host.Host, to peer.ID) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, ok := <-ping.Ping(ctx, h, to)
	if !ok {
		return 0, errors.New("ping: no answer")
	}
	return r.RTT, r.Error
}

func pingTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	results := ping.Ping(ctx, h, to.ID)
	var rtts []float64
	for len(rtts) < 5 {
		r, ok := <-results
		if !ok || r.Error != nil {
			return nil, fmt.Errorf("ping %d: %v", len(rtts), r.Error)
		}
		rtts = append(rtts, float64(r.RTT.Microseconds())/1000)
	}
	return m{"rtt_ms": rtts}, nil
}

func identifyTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := h.Connect(ctx, *to); err != nil {
		return nil, err
	}
	var id event.EvtPeerIdentificationCompleted
	select {
	case e := <-sub.Out():
		id = e.(event.EvtPeerIdentificationCompleted)
	case <-ctx.Done():
		return nil, errors.New("identify did not complete")
	}
	r := m{"agent": id.AgentVersion, "protocol_version": id.ProtocolVersion, "protocols": id.Protocols,
		"listen_addrs": id.ListenAddrs, "observed_addr": id.ObservedAddr.String(),
		"signed_record": id.SignedPeerRecord != nil}
	if key := h.Peerstore().PubKey(to.ID); key == nil || !to.ID.MatchesPublicKey(key) {
		return r, errors.New("the public key is missing or of another peer")
	}
	for _, want := range []protocol.ID{ping.ID, "/ipfs/id/1.0.0", echoID, perfID} {
		if !slices.Contains(id.Protocols, want) {
			return r, fmt.Errorf("protocol %s is not in the list", want)
		}
	}
	observed, _ := peer.SplitAddr(id.ObservedAddr) // js appends our peer id
	// a QUIC connection's local address is that of its socket, which has none
	local := h.Network().ConnsToPeer(to.ID)[0].LocalMultiaddr()
	if _, rest := multiaddr.SplitFirst(local); manet.IsIPUnspecified(local) {
		local = multiaddr.StringCast("/ip4/127.0.0.1" + rest.String())
	}
	// /wss is the older way to write /tls/ws
	if strings.Replace(local.String(), "/wss", "/tls/ws", 1) != observed.String() {
		return r, fmt.Errorf("observed address is %s, ours %s", id.ObservedAddr, local)
	}
	if id.AgentVersion == "" || len(id.ListenAddrs) == 0 {
		return r, errors.New("no agent or no listen address")
	}
	return r, nil
}

// echo sends n bytes while reading them back.
func echo(ctx context.Context, h host.Host, to peer.ID, n int64, after func()) error {
	s, err := open(ctx, h, to, echoID)
	if err != nil {
		return err
	}
	defer s.Close()
	written := make(chan error, 1)
	go func() {
		err := writePattern(s, uint32(n), n)
		if err == nil {
			err = s.CloseWrite()
		}
		written <- err
	}()
	if err := expectPattern(s, uint32(n), n, after); err != nil {
		s.Reset()
		return err
	}
	return <-written
}

func echoTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	n := number(args, 0, 1<<20)
	return m{"bytes": n}, echo(ctx, h, to.ID, n, nil)
}

// parallelTest holds all streams open, each proven alive, before any is ended.
func parallelTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	n := int(number(args, 0, 100))
	var alive, done sync.WaitGroup
	alive.Add(n)
	errs := make(chan error, n)
	for i := range n {
		done.Go(func() { errs <- holdOne(ctx, h, to.ID, uint32(i), &alive) })
	}
	done.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return m{"streams": n}, nil
}

func holdOne(ctx context.Context, h host.Host, to peer.ID, seed uint32, alive *sync.WaitGroup) error {
	const half = 8 << 10
	first, err := func() (network.Stream, error) {
		defer alive.Done()
		s, err := open(ctx, h, to, echoID)
		if err != nil {
			return nil, err
		}
		if err := writePattern(s, seed, half); err != nil {
			return s, err
		}
		_, err = io.ReadFull(s, make([]byte, half))
		return s, err
	}()
	if err != nil {
		return err
	}
	defer first.Close()
	alive.Wait()
	if err := writePattern(first, seed, half); err != nil {
		return err
	}
	if err := first.CloseWrite(); err != nil {
		return err
	}
	return expectPattern(first, seed, half, nil)
}

func sequentialTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	n := number(args, 0, 1000)
	for i := range n {
		if err := echo(ctx, h, to.ID, 1+i%2000, nil); err != nil {
			return nil, fmt.Errorf("stream %d: %w", i, err)
		}
	}
	return m{"streams": n}, nil
}

// halfCloseTest ends writing before it reads anything.
func halfCloseTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	const n = 100_000 // fits the windows of both sides while nobody reads
	s, err := open(ctx, h, to.ID, echoID)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := writePattern(s, 7, n); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	return nil, expectPattern(s, 7, n, nil)
}

// halfCloseRemoteTest reads the remote's end and then still writes more than a window.
func halfCloseRemoteTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	const n, rest = 300_000, 1 << 20
	conns := h.Network().ConnsToPeer(to.ID)
	s, err := open(ctx, h, to.ID, sourceID)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := binary.Write(s, binary.BigEndian, uint64(n)); err != nil {
		return nil, err
	}
	if err := expectPattern(s, 1, n, nil); err != nil {
		return nil, err
	}
	if err := writePattern(s, 9, rest); err != nil {
		return nil, fmt.Errorf("writing after the remote closed: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	return m{"rest_bytes": rest}, alive(ctx, h, to.ID, conns)
}

// resetTest resets in mid-transfer; the connection must live on.
func resetTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	conns := h.Network().ConnsToPeer(to.ID)
	for range 10 {
		s, err := open(ctx, h, to.ID, echoID)
		if err != nil {
			return nil, err
		}
		if err := writePattern(s, 3, 100_000); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s, make([]byte, 1000)); err != nil {
			return nil, err
		}
		if err := s.Reset(); err != nil {
			return nil, err
		}
	}
	return nil, alive(ctx, h, to.ID, conns)
}

func alive(ctx context.Context, h host.Host, to peer.ID, conns []network.Conn) error {
	if err := echo(ctx, h, to, 1<<20, nil); err != nil {
		return fmt.Errorf("a new stream: %w", err)
	}
	if _, err := pingOnce(ctx, h, to); err != nil {
		return err
	}
	if now := h.Network().ConnsToPeer(to); !slices.Equal(now, conns) {
		return errors.New("the connection did not survive")
	}
	return nil
}

func resetRemoteTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	conns := h.Network().ConnsToPeer(to.ID)
	s, err := open(ctx, h, to.ID, resetID)
	if err != nil {
		return nil, err
	}
	err = writePattern(s, 3, 64<<20)
	if !errors.Is(err, network.ErrReset) {
		return nil, fmt.Errorf("expected a reset while writing: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		return nil, fmt.Errorf("expected a reset while reading: %v", err)
	}
	return nil, alive(ctx, h, to.ID, conns)
}

// slowReaderTest leaves an echo unread until all windows are full: pings beside it stay quick.
func slowReaderTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	finished := make(chan error, 1)
	first := true
	go func() {
		finished <- echo(ctx, h, to.ID, 8<<20, func() {
			if first {
				time.Sleep(time.Second)
				first = false
			}
			time.Sleep(10 * time.Millisecond)
		})
	}()
	worst, pings := time.Duration(0), 0
	for {
		select {
		case err := <-finished:
			if err == nil && worst > 500*time.Millisecond {
				err = fmt.Errorf("a ping took %v", worst)
			}
			return m{"worst_ping_ms": worst.Milliseconds(), "pings": pings}, err
		case <-time.After(50 * time.Millisecond):
		}
		rtt, err := pingOnce(ctx, h, to.ID)
		if err != nil {
			return nil, err
		}
		worst, pings = max(worst, rtt), pings+1
	}
}

func hashTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	n := number(args, 0, 1<<20)
	s, err := open(ctx, h, to.ID, hashID)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := writePattern(s, 5, n); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	got, err := io.ReadAll(s)
	if err == nil && string(got) != patternHash(5, n) {
		err = fmt.Errorf("wrong hash %q", got)
	}
	return m{"bytes": n}, err
}

func unknownProtocolTest(ctx context.Context, h host.Host, to *peer.AddrInfo, _ []string) (m, error) {
	conns := h.Network().ConnsToPeer(to.ID)
	s, err := h.NewStream(ctx, to.ID, absentID)
	if err == nil {
		s.Reset()
		return nil, errors.New("a protocol that nobody serves was accepted")
	}
	if !strings.Contains(err.Error(), "protocols not supported") {
		return nil, fmt.Errorf("expected a failed negotiation: %w", err)
	}
	return m{"refusal": err.Error()}, alive(ctx, h, to.ID, conns)
}

func wrongPeer(ctx context.Context, h host.Host, to *peer.AddrInfo) (m, error) {
	right := to.ID
	key, err := newKey("ed25519")
	if err == nil {
		to.ID, err = peer.IDFromPrivateKey(key)
	}
	if err != nil {
		return nil, err
	}
	err = h.Connect(ctx, *to)
	if err == nil {
		return nil, errors.New("connected although the peer id is another")
	}
	if !strings.Contains(err.Error(), right.String()) {
		return nil, fmt.Errorf("failed, but not for the peer id: %w", err)
	}
	return m{"refusal": err.Error()}, nil
}

func perfTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	up, down := number(args, 0, 1<<20), number(args, 1, 1<<20)
	s, err := open(ctx, h, to.ID, perfID)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	start := time.Now()
	if err := binary.Write(s, binary.BigEndian, uint64(down)); err != nil {
		return nil, err
	}
	if err := writeZeros(s, up); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	uploaded := time.Since(start)
	got, err := io.CopyBuffer(io.Discard, s, make([]byte, chunkLen))
	if err == nil && got != down {
		err = fmt.Errorf("received %d bytes, expected %d", got, down)
	}
	all := time.Since(start)
	return m{"upload_bytes": up, "download_bytes": got, "seconds": all.Seconds(),
		"upload_seconds": uploaded.Seconds(), "download_seconds": (all - uploaded).Seconds()}, err
}

// soakTest mixes sizes, resets and pings on one connection from several tasks at once.
func soakTest(ctx context.Context, h host.Host, to *peer.AddrInfo, args []string) (m, error) {
	end := time.Now().Add(time.Duration(number(args, 0, 10)) * time.Second)
	var all sync.WaitGroup
	var lock sync.Mutex
	var failure error
	rounds := 0
	work := func(worker int) {
		for time.Now().Before(end) {
			err := soakRound(ctx, h, to.ID, worker)
			lock.Lock()
			rounds++
			if err != nil && failure == nil {
				failure = err
			}
			stop := failure != nil
			lock.Unlock()
			if stop {
				return
			}
		}
	}
	for worker := range 8 {
		all.Go(func() { work(worker) })
	}
	all.Wait()
	return m{"rounds": rounds}, failure
}

func soakRound(ctx context.Context, h host.Host, to peer.ID, worker int) error {
	if worker == 0 { // rust serves one ping stream at a time: only one worker pings
		_, err := pingOnce(ctx, h, to)
		return err
	}
	switch rand.IntN(10) {
	case 1:
		s, err := open(ctx, h, to, echoID)
		if err != nil {
			return err
		}
		if err := writePattern(s, 3, rand.Int64N(100_000)); err != nil {
			return err
		}
		return s.Reset()
	case 2:
		return echo(ctx, h, to, 1<<20+rand.Int64N(1<<20), nil)
	}
	return echo(ctx, h, to, rand.Int64N(70_000), nil)
}
