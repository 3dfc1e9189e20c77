package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	echoID   = protocol.ID("/p2p/echo/1.0.0")
	perfID   = protocol.ID("/perf/1.0.0")
	sinkID   = protocol.ID("/test/sink/1.0.0")
	resetID  = protocol.ID("/test/reset/1.0.0")
	hashID   = protocol.ID("/test/hash/1.0.0")
	sourceID = protocol.ID("/test/source/1.0.0")
	absentID = protocol.ID("/test/absent/1.0.0")
)

const (
	resetAfter = 64 << 10
	sinkPause  = 2 * time.Millisecond
)

func serve(h host.Host) {
	handle := func(id protocol.ID, f func(network.Stream) error) {
		h.SetStreamHandler(id, func(s network.Stream) {
			if err := f(s); err != nil {
				s.Reset()
				if !errors.Is(err, network.ErrReset) {
					emit(m{"event": "failed", "protocol": id, "error": err.Error()})
				}
				return
			}
			s.Close()
		})
	}
	handle(echoID, serveEcho)
	handle(perfID, servePerf)
	handle(sinkID, serveSink)
	handle(resetID, serveReset)
	handle(hashID, serveHash)
	handle(sourceID, serveSource)
}

func listen(o options) error {
	h, err := newHost(o, true)
	if err != nil {
		return err
	}
	serve(h)
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	emit(m{"event": "listening", "addr": h.Addrs()[0].String() + "/p2p/" + h.ID().String(),
		"peer": h.ID().String(), "pid": os.Getpid()})
	for e := range sub.Out() {
		id := e.(event.EvtPeerIdentificationCompleted)
		emit(m{"event": "identified", "peer": id.Peer.String(), "agent": id.AgentVersion,
			"protocols": id.Protocols})
	}
	return nil
}

func serveEcho(s network.Stream) error {
	b := make([]byte, chunkLen)
	for {
		n, err := s.Read(b)
		if n > 0 {
			if _, err := s.Write(b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return s.CloseWrite()
		}
		if err != nil {
			return err
		}
	}
}

func readCount(s network.Stream) (int64, error) {
	var b [8]byte
	if _, err := io.ReadFull(s, b[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:])), nil
}

func servePerf(s network.Stream) error {
	n, err := readCount(s)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(io.Discard, s, make([]byte, chunkLen)); err != nil {
		return err
	}
	return writeZeros(s, n)
}

func writeZeros(w io.Writer, n int64) error {
	for b := make([]byte, chunkLen); n > 0; {
		k, err := w.Write(b[:min(n, chunkLen)])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

func serveSink(s network.Stream) error {
	total, b := int64(0), make([]byte, 16<<10)
	for {
		n, err := s.Read(b)
		total += int64(n)
		if err == io.EOF {
			emit(m{"event": "sink", "bytes": total})
			return nil
		}
		if err != nil {
			return err
		}
		time.Sleep(sinkPause)
	}
}

func serveReset(s network.Stream) error {
	if _, err := io.CopyN(io.Discard, s, resetAfter); err != nil {
		return err
	}
	return s.Reset()
}

func serveHash(s network.Stream) error {
	h := sha256.New()
	if _, err := io.Copy(h, s); err != nil {
		return err
	}
	_, err := io.WriteString(s, hex.EncodeToString(h.Sum(nil)))
	return err
}

// serveSource ends its own side first and then still reads: the other half of half-close.
func serveSource(s network.Stream) error {
	n, err := readCount(s)
	if err != nil {
		return err
	}
	if err := writePattern(s, 1, n); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	h := sha256.New()
	rest, err := io.Copy(h, s)
	if err != nil {
		return err
	}
	emit(m{"event": "source", "rest_bytes": rest, "rest_sha256": hex.EncodeToString(h.Sum(nil))})
	return nil
}
