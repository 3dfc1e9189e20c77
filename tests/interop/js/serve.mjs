import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { emit, newHost } from './host.mjs'
import { writePattern, writeZeros } from './pattern.mjs'
import { Pipe } from './pipe.mjs'

export const ECHO = '/p2p/echo/1.0.0'
export const PERF = '/perf/1.0.0'
export const SINK = '/test/sink/1.0.0'
export const RESET = '/test/reset/1.0.0'
export const HASH = '/test/hash/1.0.0'
export const SOURCE = '/test/source/1.0.0'
export const ABSENT = '/test/absent/1.0.0'

const SINK_PAUSE_MS = 2

async function readCount (pipe) {
  const bytes = await pipe.readExactly(8)
  return Number(new DataView(bytes.buffer).getBigUint64(0))
}

async function digest (pipe) {
  const hash = createHash('sha256')
  let total = 0
  for (let bytes; (bytes = await pipe.read()) !== null; total += bytes.length) {
    hash.update(bytes)
  }
  return { total, hex: hash.digest('hex') }
}

async function serveEcho (pipe) {
  for (let bytes; (bytes = await pipe.read()) !== null;) {
    await pipe.write(bytes)
  }
  await pipe.closeWrite()
}

async function servePerf (pipe) {
  const n = await readCount(pipe)
  while (await pipe.read() !== null);
  await writeZeros(pipe, n)
  await pipe.closeWrite()
}

async function serveSink (pipe) {
  let total = 0
  for (let bytes; (bytes = await pipe.read()) !== null; total += bytes.length) {
    await sleep(SINK_PAUSE_MS * Math.ceil(bytes.length / 16384))
  }
  emit({ event: 'sink', bytes: total })
  await pipe.closeWrite()
}

async function serveReset (pipe) {
  await pipe.readExactly(64 << 10)
  pipe.reset()
}

async function serveHash (pipe) {
  const { hex } = await digest(pipe)
  await pipe.write(Buffer.from(hex))
  await pipe.closeWrite()
}

// Ends its own side first and then still reads: the other half of half-close.
async function serveSource (pipe) {
  await writePattern(pipe, 1, await readCount(pipe))
  await pipe.closeWrite()
  const { total, hex } = await digest(pipe)
  emit({ event: 'source', rest_bytes: total, rest_sha256: hex })
}

export async function listen (options) {
  const node = await newHost(options, true)
  const handle = (id, serve) => node.handle(id, (stream) => {
    const pipe = new Pipe(stream)
    serve(pipe).catch((err) => {
      pipe.reset()
      if (err.name !== 'StreamResetError') {
        emit({ event: 'failed', protocol: id, error: `${err.name}: ${err.message}` })
      }
    })
  }, { maxInboundStreams: 100_000 })
  await handle(ECHO, serveEcho)
  await handle(PERF, servePerf)
  await handle(SINK, serveSink)
  await handle(RESET, serveReset)
  await handle(HASH, serveHash)
  await handle(SOURCE, serveSource)
  node.addEventListener('peer:identify', ({ detail }) => emit({
    event: 'identified',
    peer: detail.peerId.toString(),
    agent: detail.agentVersion,
    protocols: detail.protocols
  }))
  await node.start()
  emit({
    event: 'listening',
    addr: node.getMultiaddrs()[0].toString(),
    peer: node.peerId.toString(),
    pid: process.pid
  })
}
