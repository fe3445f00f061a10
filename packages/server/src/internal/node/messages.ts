/** Node's HTTP messages, with additions for this server. */
import { IncomingMessage, ServerResponse } from "node:http"

/** The most bytes of small chunks that are joined. */
const GATHERED_BYTES = 16 * 1024
/**
 * Small chunks per turn of the loop after which the socket is not read any more: each takes a microsecond, and 64 KiB can be
 * 11,000.
 */
const MAX_SMALL = 1000
const NOTHING = Buffer.alloc(0)

/**
 * A request whose body is passed on in larger pieces. Node passes on each chunk of a chunked body with its own call: 64 KiB
 * from a socket can be 11,000 chunks of a byte. The small ones of one turn are joined. They are copied at once: keeping them
 * costs five times as much.
 */
export class Request extends IncomingMessage {
  /** Sends `100 Continue` when the body is first read: a client does not send a body that is refused before. */
  continues: ServerResponse | undefined = undefined
  private gathered = NOTHING
  private gatheredBytes = 0
  private small = 0
  /** Bytes of the body that came. */
  private arrived = 0
  private kept: ReadonlyArray<Buffer> = []

  private flush(): void {
    const { gathered, gatheredBytes } = this
    if (gatheredBytes === 0) return
    this.gathered = NOTHING
    this.gatheredBytes = 0
    this.small = 0
    super.push(gathered.subarray(0, gatheredBytes))
  }

  override push(chunk: Buffer | null): boolean {
    if (chunk !== null) this.arrived += chunk.length
    if (chunk === null || chunk.length * 4 > GATHERED_BYTES) {
      this.flush()
      return super.push(chunk)
    }
    if (this.gatheredBytes + chunk.length > GATHERED_BYTES) this.flush()
    // Microtasks run after each chunk.
    if (this.gatheredBytes === 0) setImmediate(() => this.flush())
    const needed = this.gatheredBytes + chunk.length
    if (needed > this.gathered.length) {
      // Separate memory: a kept view would keep a whole pool of Node's.
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.gathered.length))
      larger.set(this.gathered)
      this.gathered = larger
    }
    // Deno passes an Uint8Array, which has no `copy`.
    this.gathered.set(chunk, this.gatheredBytes)
    this.gatheredBytes = needed
    return ++this.small < MAX_SMALL && this.readableLength + this.gatheredBytes < this.readableHighWaterMark
  }

  /** Keeps unread bytes: Node drops them when the connection breaks. */
  keepRest(): void {
    if (this.destroyed || this.complete) return
    this.flush()
    const kept: Array<Buffer> = []
    for (let chunk = this.read() as Buffer | null; chunk !== null; chunk = this.read() as Buffer | null) {
      kept.push(chunk)
    }
    if (kept.length > 0) this.kept = kept
  }

  /** What `keepRest` kept, where it follows right after the bytes that its reader has taken. */
  restAfter(taken: number): ReadonlyArray<Uint8Array> {
    const size = this.kept.reduce((sum, { length }) => sum + length, 0)
    return taken + size === this.arrived ? this.kept : []
  }

  override destroy(error?: Error): this {
    this.keepRest()
    return super.destroy(error)
  }

  override _read(size: number): void {
    const { continues } = this
    this.continues = undefined
    if (continues !== undefined && !continues.headersSent && !continues.destroyed) continues.writeContinue()
    super._read(size)
  }
}

/** A response that is handed to the system in one piece, and whose connection is closed by this server's own rules. */
export class Response<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  /**
   * Effect's adapter adds a listener before Node's that closes a connection half a second after an early response, and reads on
   * without a limit otherwise. `connections` has limits for both.
   */
  override prependListener(event: string | symbol, listener: (...args: Array<never>) => void): this {
    return event === "finish" ? this : super.prependListener(event, listener as (...args: Array<unknown>) => void)
  }
}

/**
 * Effect makes Node compare each body with its length. Effect counts the length itself, and comparing makes Node hand a short
 * response to the system in two pieces instead of one.
 */
Object.defineProperty(Response.prototype, "strictContentLength", { get: () => false, set: () => {} })
