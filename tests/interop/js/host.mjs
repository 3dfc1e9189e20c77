import { readFile } from 'node:fs/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { quic } from '@chainsafe/libp2p-quic'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { createLibp2p } from 'libp2p'

export function emit (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', rsa: 'RSA' }
const TRANSPORTS = {
  tcp: { make: () => tcp(), base: 'tcp', end: '' },
  ws: { make: () => webSockets(), base: 'tcp', end: '/ws' },
  // Whom it trusts as a client is in NODE_EXTRA_CA_CERTS.
  wss: { make: pem => webSockets({ https: { cert: pem, key: pem } }), base: 'tcp', end: '/tls/ws' },
  quic: { make: () => quic(), base: 'udp', end: '/quic-v1' }
}
const SECURITY = { noise, tls }
const MUXERS = {
  yamux: () => [yamux({ maxInboundStreams: 100_000, maxOutboundStreams: 100_000 })],
  mplex: () => [mplex({ disconnectThreshold: 100_000 })], // of new streams in a second: at the sixth it aborts all
  none: () => []
}

export async function newKey (type) {
  if (KEY_TYPES[type] == null) {
    throw new Error(`key type ${type} is not available here`)
  }
  return generateKeyPair(KEY_TYPES[type], type === 'rsa' ? 2048 : undefined)
}

export async function newHost (options, listens) {
  const transport = TRANSPORTS[options.transport]
  const security = SECURITY[options.security]
  const muxers = MUXERS[options.muxer]
  if (transport == null || security == null || muxers == null) {
    throw new Error(`${options.transport} with ${options.security} and ${options.muxer} is not available here`)
  }
  return createLibp2p({
    start: !listens,
    privateKey: await newKey(options['key-type']),
    addresses: { listen: listens ? [`/ip4/127.0.0.1/${transport.base}/${options.port}${transport.end}`] : [] },
    transports: [transport.make(options.web === '' ? undefined : await readFile(options.web))],
    connectionEncrypters: [security()],
    connectionProtector: options.psk === '' ? undefined : preSharedKey({ psk: await readFile(options.psk) }),
    streamMuxers: muxers(),
    nodeInfo: { name: 'interop-js', version: '0', userAgent: 'interop-js' },
    connectionManager: {
      maxConnections: 100_000,
      maxIncomingPendingConnections: 1000,
      inboundConnectionThreshold: 100_000
    },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify({ runOnConnectionOpen: options.identify !== 'off', maxInboundStreams: 10 }),
      ping: ping({ maxInboundStreams: 64, maxOutboundStreams: 64 })
    }
  })
}
