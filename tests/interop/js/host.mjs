import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

export function emit (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', rsa: 'RSA' }
const MUXERS = {
  yamux: () => [yamux({ maxInboundStreams: 100_000, maxOutboundStreams: 100_000 })],
  mplex: () => [mplex()],
  none: () => []
}

export async function newKey (type) {
  if (KEY_TYPES[type] == null) {
    throw new Error(`key type ${type} is not available here`)
  }
  return generateKeyPair(KEY_TYPES[type], type === 'rsa' ? 2048 : undefined)
}

export async function newHost (options, listens) {
  const { transport, security, muxer } = options
  if (transport !== 'tcp' || security !== 'noise' || MUXERS[muxer] == null) {
    throw new Error(`${transport} with ${security} and ${muxer} is not available here`)
  }
  return createLibp2p({
    start: !listens,
    privateKey: await newKey(options['key-type']),
    addresses: { listen: listens ? [`/ip4/127.0.0.1/tcp/${options.port}`] : [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: MUXERS[muxer](),
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
