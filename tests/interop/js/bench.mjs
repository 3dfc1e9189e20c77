import { multiaddr } from '@multiformats/multiaddr'
import { setTimeout as sleep } from 'node:timers/promises'
import { dial } from './dial.mjs'
import { emit, newHost } from './host.mjs'
import { Pipe } from './pipe.mjs'
import { ECHO } from './serve.mjs'

function rate (count, start) {
  const seconds = (performance.now() - start) / 1000
  return { count, seconds, per_second: count / seconds }
}

async function streams (node, to, n) {
  const conn = await node.dial(to)
  const start = performance.now()
  for (let i = 0; i < n; i++) {
    const pipe = new Pipe(await conn.newStream(ECHO, { maxOutboundStreams: 100_000 }))
    await pipe.write(new Uint8Array(1))
    await pipe.closeWrite()
    await pipe.readExactly(1)
    if (await pipe.read() !== null) throw new Error('more than one byte came back')
  }
  return rate(n, start)
}

async function conns (node, to, n) {
  const start = performance.now()
  for (let i = 0; i < n; i++) {
    const conn = await node.dial(to)
    const pipe = new Pipe(await conn.newStream('/ipfs/ping/1.0.0'))
    await pipe.write(new Uint8Array(32))
    await pipe.readExactly(32)
    await pipe.closeWrite()
    await conn.close()
  }
  return rate(n, start)
}

// Keeps its connections until its stdin ends, so that the other side can be measured.
async function idle (node, to, n) {
  const before = process.memoryUsage.rss()
  const start = performance.now()
  const held = []
  while (held.length < n) {
    held.push(await node.dial(to, { force: true }))
  }
  const result = rate(n, start)
  await sleep(1000)
  result.rss_before_bytes = before
  result.rss_bytes = process.memoryUsage.rss()
  emit({ event: 'idle', connections: n, rss_bytes: result.rss_bytes })
  for await (const _ of process.stdin);
  if (held.some((conn) => conn.status !== 'open')) {
    throw new Error('a connection was closed')
  }
  return result
}

const KINDS = { streams, conns, idle }

export async function bench (options, addr, kind, args) {
  if (kind === 'perf') {
    return dial(options, addr, 'perf', args)
  }
  if (KINDS[kind] == null) {
    throw new Error(`no benchmark named ${kind}`)
  }
  const node = await newHost({ ...options, identify: 'off' }, false)
  try {
    return await KINDS[kind](node, multiaddr(addr), Number(args[0] ?? 100))
  } finally {
    await node.stop()
  }
}
