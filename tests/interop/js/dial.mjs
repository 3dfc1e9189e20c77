import { setTimeout as sleep } from 'node:timers/promises'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { newHost, newKey } from './host.mjs'
import { expectPattern, patternHash, writePattern, writeZeros } from './pattern.mjs'
import { Pipe } from './pipe.mjs'
import { ABSENT, ECHO, HASH, PERF, RESET, SOURCE } from './serve.mjs'

const seconds = (since) => (performance.now() - since) / 1000

async function open ({ conn }, protocol) {
  return new Pipe(await conn.newStream(protocol, { maxOutboundStreams: 100_000 }))
}

async function pingOnce ({ node, conn }) {
  return node.services.ping.ping(conn.remotePeer, { signal: AbortSignal.timeout(10_000) })
}

// Sends n bytes while reading them back.
async function echo (to, n, after) {
  const pipe = await open(to, ECHO)
  try {
    await Promise.all([
      writePattern(pipe, n, n).then(() => pipe.closeWrite()),
      expectPattern(pipe, n, n, after)
    ])
  } catch (err) {
    pipe.reset()
    throw err
  }
}

async function alive (to) {
  await echo(to, 1 << 20)
  await pingOnce(to)
  if (to.conn.status !== 'open' || to.node.getConnections().length !== 1) {
    throw new Error('the connection did not survive')
  }
}

async function pingTest (to) {
  const rtts = []
  while (rtts.length < 5) {
    rtts.push(await pingOnce(to))
  }
  return { rtt_ms: rtts }
}

async function identifyTest (to) {
  const id = await to.identified
  const result = {
    agent: id.agentVersion,
    protocol_version: id.protocolVersion,
    protocols: id.protocols,
    listen_addrs: id.listenAddrs.map(String),
    observed_addr: id.observedAddr?.toString(),
    signed_record: id.signedPeerRecord != null
  }
  // js proves the public key itself before it tells us of an identify
  for (const want of ['/ipfs/ping/1.0.0', '/ipfs/id/1.0.0', ECHO, PERF]) {
    if (!id.protocols.includes(want)) {
      throw new Error(`protocol ${want} is not in the list`)
    }
  }
  if (!/^\/ip4\/127\.0\.0\.1\/(tcp|udp)\/\d+(\/ws|\/tls\/ws|\/quic-v1)?(\/p2p\/\w+)?$/.test(result.observed_addr ?? '')) {
    throw new Error(`observed address is ${result.observed_addr}`)
  }
  if (!id.agentVersion || id.listenAddrs.length === 0) {
    throw new Error('no agent or no listen address')
  }
  return result
}

async function echoTest (to, n = 1 << 20) {
  await echo(to, n)
  return { bytes: n }
}

// Holds all streams open, each proven alive, before any is ended.
async function parallelTest (to, n = 100) {
  const half = 8 << 10
  const pipes = await Promise.all(Array.from({ length: n }, async (_, seed) => {
    const pipe = await open(to, ECHO)
    await writePattern(pipe, seed, half)
    await pipe.readExactly(half)
    return pipe
  }))
  await Promise.all(pipes.map(async (pipe, seed) => {
    await writePattern(pipe, seed, half)
    await pipe.closeWrite()
    await expectPattern(pipe, seed, half)
  }))
  return { streams: n }
}

async function sequentialTest (to, n = 1000) {
  for (let i = 0; i < n; i++) {
    await echo(to, 1 + i % 2000)
  }
  return { streams: n }
}

// Ends writing before it reads anything.
async function halfCloseTest (to) {
  const n = 100_000 // fits the windows of both sides while nobody reads
  const pipe = await open(to, ECHO)
  await writePattern(pipe, 7, n)
  await pipe.closeWrite()
  await sleep(200)
  await expectPattern(pipe, 7, n)
}

// Reads the remote's end and then still writes more than a window.
async function halfCloseRemoteTest (to) {
  const n = 300_000
  const rest = 1 << 20
  const pipe = await open(to, SOURCE)
  const count = Buffer.alloc(8)
  count.writeBigUInt64BE(BigInt(n))
  await pipe.write(count)
  await expectPattern(pipe, 1, n)
  await writePattern(pipe, 9, rest)
  await pipe.closeWrite()
  await alive(to)
  return { rest_bytes: rest }
}

// Resets in mid-transfer; the connection must live on.
async function resetTest (to) {
  for (let i = 0; i < 10; i++) {
    const pipe = await open(to, ECHO)
    await writePattern(pipe, 3, 100_000)
    await pipe.readExactly(1000)
    pipe.reset()
  }
  await alive(to)
}

async function expectReset (what, run) {
  const err = await run().then(() => null, (err) => err)
  if (err?.name !== 'StreamResetError') {
    throw new Error(`expected a reset while ${what}: ${err}`)
  }
}

async function resetRemoteTest (to) {
  const pipe = await open(to, RESET)
  await expectReset('writing', () => writePattern(pipe, 3, 64 << 20))
  await expectReset('reading', () => pipe.read())
  await alive(to)
}

// Leaves an echo unread until all windows are full: pings beside it stay quick.
async function slowReaderTest (to) {
  let finished = false
  let first = true
  const transfer = echo(to, 8 << 20, async () => {
    await sleep(first ? 1000 : 10)
    first = false
  }).finally(() => { finished = true })
  transfer.catch(() => {})
  let worst = 0
  let pings = 0
  for (; !finished; pings++) {
    await sleep(50)
    worst = Math.max(worst, await pingOnce(to))
  }
  await transfer
  if (worst > 500) {
    throw new Error(`a ping took ${worst} ms`)
  }
  return { worst_ping_ms: worst, pings }
}

async function hashTest (to, n = 1 << 20) {
  const pipe = await open(to, HASH)
  await writePattern(pipe, 5, n)
  await pipe.closeWrite()
  const hex = Buffer.from(await pipe.readExactly(64)).toString()
  if (hex !== patternHash(5, n)) {
    throw new Error(`wrong hash ${hex}`)
  }
  return { bytes: n }
}

async function unknownProtocolTest (to) {
  const err = await open(to, ABSENT).then(() => null, (err) => err)
  if (err?.name !== 'UnsupportedProtocolError') {
    throw new Error(`expected a failed negotiation: ${err}`)
  }
  await alive(to)
  return { refusal: err.message }
}

async function perfTest (to, up = 1 << 20, down = 1 << 20) {
  const pipe = await open(to, PERF)
  const start = performance.now()
  const count = Buffer.alloc(8)
  count.writeBigUInt64BE(BigInt(down))
  await pipe.write(count)
  await writeZeros(pipe, up)
  await pipe.closeWrite()
  const uploaded = seconds(start)
  let got = 0
  for (let bytes; (bytes = await pipe.read()) !== null;) {
    got += bytes.length
  }
  if (got !== down) {
    throw new Error(`received ${got} bytes, expected ${down}`)
  }
  const all = seconds(start)
  return {
    upload_bytes: up,
    download_bytes: got,
    seconds: all,
    upload_seconds: uploaded,
    download_seconds: all - uploaded
  }
}

async function soakRound (to, worker) {
  const dice = Math.floor(Math.random() * 10)
  const below = (n) => Math.floor(Math.random() * n)
  // rust serves one ping stream at a time: only one worker pings
  if (worker === 0) return pingOnce(to)
  if (dice === 1) {
    const pipe = await open(to, ECHO)
    await writePattern(pipe, 3, below(100_000))
    return pipe.reset()
  }
  return echo(to, dice === 2 ? (1 << 20) + below(1 << 20) : below(70_000))
}

// Mixes sizes, resets and pings on one connection from several tasks at once.
async function soakTest (to, forSeconds = 10) {
  const end = performance.now() + forSeconds * 1000
  let rounds = 0
  await Promise.all(Array.from({ length: 8 }, async (_, worker) => {
    for (; performance.now() < end; rounds++) {
      await soakRound(to, worker)
    }
  }))
  return { rounds }
}

const TESTS = {
  ping: pingTest,
  identify: identifyTest,
  echo: echoTest,
  'streams-parallel': parallelTest,
  'streams-sequential': sequentialTest,
  'half-close': halfCloseTest,
  'half-close-remote': halfCloseRemoteTest,
  reset: resetTest,
  'reset-remote': resetRemoteTest,
  'slow-reader': slowReaderTest,
  hash: hashTest,
  'unknown-protocol': unknownProtocolTest,
  perf: perfTest,
  soak: soakTest
}

function flatten (err) {
  return [err, ...(err.errors ?? []).flatMap(flatten), ...(err.cause ? flatten(err.cause) : [])]
}

async function wrongPeer (node, addr) {
  const other = peerIdFromPrivateKey(await newKey('ed25519'))
  const err = await node.dial(multiaddr(addr.replace(/\/p2p\/.*/, `/p2p/${other}`))).then(() => null, (err) => err)
  if (err == null) {
    throw new Error('connected although the peer id is another')
  }
  const reasons = flatten(err).map((e) => `${e.name}: ${e.message}`)
  if (!reasons.some((text) => /Unexpected ?Peer|match|but connected to/i.test(text))) {
    throw new Error(`failed, but not for the peer id: ${reasons.join('; ')}`)
  }
  return { refusal: reasons.join('; ') }
}

export async function dial (options, addr, name, args) {
  const node = await newHost(options, false)
  try {
    if (name === 'wrong-peer') {
      return await wrongPeer(node, addr)
    }
    if (TESTS[name] == null) {
      throw new Error(`no test named ${name}`)
    }
    const identified = new Promise((resolve) => {
      node.addEventListener('peer:identify', ({ detail }) => resolve(detail))
    })
    const conn = await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(15_000) })
    const result = await TESTS[name]({ node, conn, identified }, ...args.map(Number))
    return { ...result, peer: node.peerId.toString() }
  } finally {
    await node.stop()
  }
}
