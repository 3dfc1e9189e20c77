// The js-libp2p side of the interoperability tests. See ../README.md for the commands.
import './node20.mjs'
import { bench } from './bench.mjs'
import { dial } from './dial.mjs'
import { emit } from './host.mjs'
import { listen } from './serve.mjs'

function parse (argv) {
  const options = { transport: 'tcp', security: 'noise', muxer: 'yamux', 'key-type': 'ed25519', port: '0', psk: '', web: '' }
  const rest = []
  for (let i = 0; i < argv.length; i++) {
    if (!argv[i].startsWith('--')) {
      rest.push(argv[i])
      continue
    }
    const name = argv[i].slice(2)
    if (options[name] == null || i + 1 === argv.length) {
      throw new Error(`option --${name}: unknown or without a value`)
    }
    options[name] = argv[++i]
  }
  return { options, rest }
}

// Prints the one result line and returns the exit code.
async function report (test, run) {
  const start = performance.now()
  let result
  try {
    result = { ok: true, ...await run() }
  } catch (err) {
    const inner = err.errors?.map((e) => `${e.name}: ${e.message}`).join('; ')
    result = { ok: false, error: `${err.name}: ${err.message}${inner ? ` (${inner})` : ''}` }
  }
  emit({ event: 'result', test, seconds: (performance.now() - start) / 1000, ...result })
  return result.ok ? 0 : 1
}

async function main () {
  const { options, rest: [mode, addr, name, ...args] } = parse(process.argv.slice(2))
  if ((mode === 'listen' || mode === 'bench-server') && addr == null) {
    await listen(options)
  } else if (mode === 'dial' && name != null) {
    process.exit(await report(name, () => dial(options, addr, name, args)))
  } else if (mode === 'bench' && name != null) {
    process.exit(await report(`bench-${name}`, () => bench(options, addr, name, args)))
  } else {
    throw new Error('usage: peer listen | bench-server | dial ADDR TEST [ARG]... | bench ADDR KIND ARG...')
  }
}

main().catch((err) => {
  process.stderr.write(`${err.stack}\n`)
  process.exit(2)
})
