package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// pattern is the byte sequence that all peer programs here send and expect: the top byte of a
// 32-bit linear congruential generator, so that lost, doubled or reordered bytes never pass.
type pattern struct{ x uint32 }

func newPattern(seed uint32) *pattern { return &pattern{x: seed} }

func (p *pattern) fill(b []byte) {
	x := p.x
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	p.x = x
}

const chunkLen = 64 << 10

func writePattern(w io.Writer, seed uint32, n int64) error {
	p, b := newPattern(seed), make([]byte, chunkLen)
	for n > 0 {
		c := b[:min(n, chunkLen)]
		p.fill(c)
		if _, err := w.Write(c); err != nil {
			return err
		}
		n -= int64(len(c))
	}
	return nil
}

// expectPattern reads exactly n bytes of the pattern and then the end of the stream. after is
// called once for each chunk, for tests that read slowly.
func expectPattern(r io.Reader, seed uint32, n int64, after func()) error {
	p, got, want := newPattern(seed), make([]byte, chunkLen), make([]byte, chunkLen)
	for at := int64(0); at < n; {
		c := got[:min(n-at, chunkLen)]
		if k, err := io.ReadFull(r, c); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", at+int64(k), n, err)
		}
		p.fill(want[:len(c)])
		if !bytes.Equal(c, want[:len(c)]) {
			return fmt.Errorf("wrong bytes between %d and %d", at, at+int64(len(c)))
		}
		at += int64(len(c))
		if after != nil {
			after()
		}
	}
	return expectEOF(r)
}

func expectEOF(r io.Reader) error {
	var b [1]byte
	k, err := r.Read(b[:])
	if k != 0 {
		return fmt.Errorf("bytes after the expected end")
	}
	if err != io.EOF {
		return fmt.Errorf("expected the end of the stream: %v", err)
	}
	return nil
}

func patternHash(seed uint32, n int64) string {
	h := sha256.New()
	writePattern(h, seed, n)
	return hex.EncodeToString(h.Sum(nil))
}
