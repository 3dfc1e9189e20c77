// A real Chromium, without a window, that dials: peer dial ADDR TEST [ARG]... [--transport ws|wss]
//
// It opens a page of a server that lives as long as this process; the page gets its task from there
// and brings the result back. Nothing else drives the browser; its debugging pipe is there because it
// ends with it, and so with us.
import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const HERE = import.meta.dirname
const RESULT_MAX = 1 << 20
const END_MS = 3000
const PAGE = '<!doctype html><meta charset="utf-8"><title>libp2p</title><script type="module" src="/page.js"></script>'

async function body (request) {
  let text = ''
  for await (const piece of request) {
    text += piece
    if (text.length > RESULT_MAX) throw new Error('the result is too long')
  }
  return text
}

function serve (task, onResult) {
  const answers = {
    'GET /': async () => ['text/html', PAGE],
    'GET /page.js': async () => ['text/javascript', await readFile(join(HERE, 'dist', 'page.js'))],
    'GET /task': async () => ['application/json', JSON.stringify(task)],
    'POST /result': async (request) => {
      onResult(JSON.parse(await body(request)))
      return ['text/plain', '']
    }
  }
  return createServer((request, response) => {
    const answer = answers[`${request.method} ${request.url}`]
    if (answer == null) {
      response.writeHead(404).end()
      return
    }
    answer(request).then(([type, bytes]) => response.writeHead(200, { 'content-type': type }).end(bytes), (err) => {
      process.stderr.write(`${err.stack}\n`)
      response.writeHead(500).end()
    })
  })
}

function browse (url, profile, more) {
  const args = ['--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-breakpad',
    '--remote-debugging-pipe', `--user-data-dir=${profile}`]
  if (process.getuid() === 0) args.push('--no-sandbox') // it has none as root
  return spawn(process.env.CHROMIUM ?? 'chromium', [...args, ...more, url], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, HOME: profile }
  })
}

async function end (browser) {
  if (browser?.pid == null || browser.exitCode !== null || browser.signalCode !== null) return
  const gone = new Promise((resolve) => browser.once('exit', resolve))
  const timer = setTimeout(() => browser.kill('SIGKILL'), END_MS)
  browser.stdio[3].end()
  await gone
  clearTimeout(timer)
}

async function perform ({ flags, ...task }) {
  const profile = mkdtempSync(join(tmpdir(), 'p2p-chromium-'))
  let browser
  let errors = ''
  try {
    return await new Promise((resolve, reject) => {
      const server = serve(task, resolve)
      server.listen(0, '127.0.0.1', () => {
        browser = browse(`http://127.0.0.1:${server.address().port}/`, profile, flags)
        browser.stderr.on('data', (piece) => { errors = (errors + piece).slice(-2000) })
        browser.on('error', reject)
        browser.on('exit', (code, signal) => reject(new Error(`the browser ended (${signal ?? code}): ${errors}`)))
      })
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => reject(new Error(signal)))
    })
  } finally {
    await end(browser)
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

// The certificate of a test signs itself.
const FLAGS = { ws: [], wss: ['--ignore-certificate-errors'] }

function parse (argv) {
  const rest = []
  let transport = 'ws'
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--transport') transport = argv[++i]
    else rest.push(argv[i])
  }
  const [mode, addr, test, ...args] = rest
  if (mode !== 'dial' || test == null || FLAGS[transport] == null) {
    throw new Error('usage: peer dial ADDR TEST [ARG]... [--transport ws|wss]')
  }
  return { addr, test, args, flags: FLAGS[transport] }
}

async function main () {
  const result = await perform(parse(process.argv.slice(2)))
  process.stdout.write(JSON.stringify(result) + '\n')
  process.exit(result.ok ? 0 : 1)
}

main().catch((err) => {
  process.stderr.write(`${err.message}\n`)
  process.exit(2)
})
