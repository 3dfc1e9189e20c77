// What runs in the browser: asks the server that it came from for a task, and posts the result to it.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { Pipe } from '../js/pipe.mjs'

const ECHO = '/p2p/echo/1.0.0'
const RANDOM_AT_A_TIME = 65536 // that crypto.getRandomValues gives
const DIAL_MS = 15_000

function require (condition, message) {
  if (!condition) throw new Error(message)
}

function randomBytes (n) {
  const out = new Uint8Array(n)
  for (let at = 0; at < n; at += RANDOM_AT_A_TIME) {
    crypto.getRandomValues(out.subarray(at, at + RANDOM_AT_A_TIME))
  }
  return out
}

async function sha256 (bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

async function echo ({ conn }, n) {
  const sent = randomBytes(n)
  const pipe = new Pipe(await conn.newStream(ECHO, { maxOutboundStreams: 1000 }))
  const writing = pipe.write(sent).then(() => pipe.closeWrite())
  const got = await pipe.readExactly(n)
  require(await pipe.read() === null, 'bytes after the expected end')
  await writing
  const hash = await sha256(sent)
  require(await sha256(got) === hash, 'other bytes came back')
  return { bytes: n, sha256: hash }
}

const TESTS = {
  async ping ({ node, conn }) {
    const rtts = []
    for (let i = 0; i < 3; i++) {
      rtts.push(await node.services.ping.ping(conn.remotePeer))
    }
    return { rtt_ms: rtts }
  },

  async identify ({ identified }) {
    const result = await identified
    require(result.protocols.includes(ECHO), `no ${ECHO} in ${result.protocols}`)
    require(result.observedAddr.toString().startsWith('/ip4/127.0.0.1/tcp/'), `observed ${result.observedAddr}`)
    return { agent: result.agentVersion, protocols: result.protocols }
  },

  echo,

  async 'streams-parallel' (to, n) {
    await Promise.all(Array.from({ length: n }, (_, i) => echo(to, 1000 + i)))
    return { streams: n }
  }
}

function flatten (err) {
  return [err, ...(err.errors ?? []).flatMap(flatten), ...(err.cause ? flatten(err.cause) : [])]
}

// js ends the connection with one of several messages; what counts is that none is made.
async function wrongPeer (node, addr) {
  const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  const err = await node.dial(multiaddr(addr.replace(/\/p2p\/.*/, `/p2p/${other}`))).then(() => null, (err) => err)
  require(err != null, 'connected although the peer id is another')
  const reasons = flatten(err).map((e) => `${e.name}: ${e.message}`).join('; ')
  require(/Unexpected ?Peer|match|but connected to/i.test(reasons), `failed, but not for the peer id: ${reasons}`)
  return { refusal: reasons }
}

async function perform ({ addr, test, args }) {
  const node = await createLibp2p({
    transports: [webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: 1000, maxOutboundStreams: 1000 })],
    connectionGater: { denyDialMultiaddr: () => false }, // in browsers js dials no loopback otherwise
    connectionMonitor: { enabled: false },
    nodeInfo: { name: 'interop-chromium', version: '0', userAgent: 'interop-chromium' },
    services: { identify: identify(), ping: ping() }
  })
  try {
    if (test === 'wrong-peer') return await wrongPeer(node, addr)
    require(TESTS[test] != null, `no test named ${test}`)
    const identified = new Promise((resolve) => {
      node.addEventListener('peer:identify', ({ detail }) => resolve(detail))
    })
    const conn = await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(DIAL_MS) })
    const result = await TESTS[test]({ node, conn, identified }, ...args.map(Number))
    return { ...result, peer: node.peerId.toString() }
  } finally {
    await node.stop()
  }
}

async function main () {
  const task = await (await fetch('/task')).json()
  const start = performance.now()
  let result
  try {
    result = { ok: true, ...await perform(task) }
  } catch (err) {
    result = { ok: false, error: flatten(err).map((e) => `${e.name}: ${e.message}`).join('; ') }
  }
  const seconds = (performance.now() - start) / 1000
  await fetch('/result', {
    method: 'POST',
    body: JSON.stringify({ event: 'result', test: task.test, seconds, browser: navigator.userAgent, ...result })
  })
}

main()
