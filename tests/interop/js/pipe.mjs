// A libp2p stream is an emitter of events, and what arrived before a listener was attached is
// easily missed. A pipe listens from the first moment on, buffers up to HIGH bytes, and pauses
// the stream beyond, which closes the remote's window.
const HIGH = 256 << 10
const LOW = 64 << 10
const PIECE = 64 << 10
// js resets a stream with more than 4 MiB unread, yet lets its yamux window grow to 16 MiB.
const MORE_THAN_A_WINDOW = 32 << 20

export class Pipe {
  constructor (stream) {
    this.stream = stream
    stream.maxReadBufferLength = MORE_THAN_A_WINDOW
    this.queue = []
    this.queued = 0
    this.paused = false
    this.resuming = false
    this.ended = false
    this.error = null
    this.wake = () => {}
    stream.addEventListener('message', (event) => this.#arrived(event.data.subarray()))
    stream.addEventListener('end', () => this.#finished(null))
    stream.addEventListener('close', (event) => this.#finished(event.error ?? null))
    this.#endedBefore()
  }

  #arrived (bytes) {
    this.queue.push(bytes)
    this.queued += bytes.length
    this.#endedBefore()
    this.#pauseIfFull()
    this.wake()
  }

  // 'end' comes once; after the protocol negotiation has read ahead it has come too early, and
  // what it read is given back to the stream.
  #endedBefore () {
    if (this.stream.readableEnded && this.stream.readBufferLength === 0) {
      this.#finished(null)
    }
  }

  // A reset emits 'end' before the 'close' that carries the error.
  #finished (error) {
    if (error == null && this.stream.status === 'reset') {
      return
    }
    this.error ??= error
    // 'close' comes while a paused stream still holds bytes for us: their 'end' follows.
    this.ended ||= this.stream.readableEnded && this.stream.readBufferLength === 0
    this.wake()
  }

  #taken (n) {
    this.queued -= n
    if (this.paused && this.queued < LOW) {
      this.paused = false
      if (this.stream.readStatus === 'paused') {
        this.resuming = true
        this.stream.resume()
        this.resuming = false
        this.#pauseIfFull()
      }
    }
  }

  // A pause inside of resume(), which delivers what was held back, would be forgotten.
  #pauseIfFull () {
    if (this.queued > HIGH && !this.paused && !this.resuming && this.stream.readStatus === 'readable') {
      this.paused = true
      this.stream.pause()
    }
  }

  // Resolves to some bytes, or null at the end; rejects when the stream was reset.
  async read () {
    while (this.queue.length === 0) {
      if (this.error != null) throw this.error
      if (this.ended) return null
      await new Promise((resolve) => { this.wake = resolve })
    }
    const bytes = this.queue.shift()
    this.#taken(bytes.length)
    return bytes
  }

  async readExactly (n) {
    const out = new Uint8Array(n)
    for (let at = 0; at < n;) {
      const bytes = await this.read()
      if (bytes === null) {
        throw new Error(`the stream ended after ${at} of ${n} bytes`)
      }
      const used = Math.min(bytes.length, n - at)
      out.set(bytes.subarray(0, used), at)
      if (used < bytes.length) {
        this.queue.unshift(bytes.subarray(used))
        this.queued += bytes.length - used
      }
      at += used
    }
    return out
  }

  // js puts all that the window allows into one yamux frame, and rust-yamux takes no frame over
  // 1 MiB: write in pieces.
  async write (bytes) {
    for (let at = 0; at < bytes.length; at += PIECE) {
      await this.#writePiece(bytes.subarray(at, at + PIECE))
    }
  }

  // Resolves when the stream takes more. (The stream's own onDrain keeps its first promise for
  // ever and so waits only once.)
  async #writePiece (bytes) {
    const { stream } = this
    if (stream.writeStatus !== 'writable') {
      throw this.error ?? new Error(`the stream is ${stream.status}`)
    }
    if (stream.send(bytes)) return
    while (stream.writableNeedsDrain && stream.status === 'open') {
      await new Promise((resolve) => {
        const done = () => {
          stream.removeEventListener('drain', done)
          stream.removeEventListener('close', done)
          resolve()
        }
        stream.addEventListener('drain', done)
        stream.addEventListener('close', done)
      })
    }
    if (this.error != null) throw this.error
  }

  async closeWrite () {
    await this.stream.close({ signal: AbortSignal.timeout(120_000) })
  }

  reset () {
    this.stream.abort(new Error('reset'))
  }
}
