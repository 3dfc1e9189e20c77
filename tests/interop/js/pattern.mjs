import { createHash } from 'node:crypto'

export const CHUNK = 64 << 10

// The bytes that all peer programs here send and expect: the top byte of a 32-bit linear
// congruential generator, so that lost, doubled or reordered bytes never pass.
export class Pattern {
  constructor (seed) {
    this.x = seed >>> 0
  }

  next (n) {
    const out = new Uint8Array(n)
    let x = this.x
    for (let i = 0; i < n; i++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0
      out[i] = x >>> 24
    }
    this.x = x
    return out
  }
}

export async function writePattern (pipe, seed, n) {
  const pattern = new Pattern(seed)
  for (; n > 0; n -= CHUNK) {
    await pipe.write(pattern.next(Math.min(n, CHUNK)))
  }
}

export async function writeZeros (pipe, n) {
  for (; n > 0; n -= CHUNK) {
    await pipe.write(new Uint8Array(Math.min(n, CHUNK)))
  }
}

// Reads exactly n bytes of the pattern and then the end of the stream. `after` is awaited once
// for each 64 KiB, for tests that read slowly.
export async function expectPattern (pipe, seed, n, after) {
  const pattern = new Pattern(seed)
  for (let at = 0; at < n;) {
    const got = await pipe.readExactly(Math.min(n - at, CHUNK))
    if (Buffer.compare(got, pattern.next(got.length)) !== 0) {
      throw new Error(`wrong bytes between ${at} and ${at + got.length}`)
    }
    at += got.length
    await after?.()
  }
  if (await pipe.read() !== null) {
    throw new Error('bytes after the expected end')
  }
}

export function patternHash (seed, n) {
  const hash = createHash('sha256')
  const pattern = new Pattern(seed)
  for (; n > 0; n -= CHUNK) {
    hash.update(pattern.next(Math.min(n, CHUNK)))
  }
  return hash.digest('hex')
}
