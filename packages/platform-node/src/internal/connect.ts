/**
 * Opens connections: TCP, TLS, unix sockets. Both transports of `NodeHttp` call it. A failure here happens before a
 * request can be sent, and every error says so: its `syscall` is `connect`.
 */
import Dns from "node:dns"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { awaitEarlyResponse } from "./earlyResponse.ts"

/** How long to try one address before trying the next one beside it, in milliseconds (RFC 8305). */
const ATTEMPT_DELAY_MILLIS = 250
/** How many TLS sessions are cached, one per host. */
const MAX_SESSIONS = 100

const codeOf = (error: Error): string =>
  "code" in error && typeof error.code === "string" && error.code !== "" ? error.code : "ERR_NOT_CONNECTED"

/** No connection was made; `code` is that of the system, of OpenSSL or of the proxy. */
export class ConnectError extends Error {
  override readonly name: string = "ConnectError"
  readonly syscall = "connect"
  readonly code: string
  /** The proxy, as `host:port`. */
  readonly proxy: string | undefined
  constructor(cause: Error, code = codeOf(cause), proxy?: string) {
    super(cause.message, { cause })
    this.code = code
    this.proxy = proxy
  }
}

/** Connecting took too long. */
export class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError"
  readonly syscall = "connect"
  readonly code = "ERR_CONNECT_TIMEOUT"
  /** The time-out, in milliseconds. */
  readonly connectTimeout: number
  constructor(millis: number) {
    super(`no connection was made within the timeout: ${millis}ms`)
    this.connectTimeout = millis
  }
}

/** The host sent bytes over a new connection before it had a request. */
export const spokenUnasked = () =>
  new ConnectError(new Error("the host sent bytes before the request"), "ERR_SPOKEN_UNASKED")

/** The first error of several addresses, as `net` reports them. */
const together = (errors: ReadonlyArray<Error>): Error =>
  errors.length === 1
    ? new ConnectError(errors[0]!)
    : new ConnectError(new AggregateError(errors, errors.map(({ message }) => message).join("; ")), codeOf(errors[0]!))

export interface Target {
  /** A name or an address, without brackets. */
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
  /** The name that the certificate must have. @default `host` */
  readonly servername?: string | undefined
}

/** Certificates and keys, as `node:tls` takes them. */
export interface TlsSettings {
  readonly ca?: Array<string>
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export interface Options {
  readonly connectMillis: number
  /** A unix socket to connect to instead of the target. */
  readonly socketPath: string | undefined
  readonly tls: TlsSettings | undefined
}

type Address = { readonly path: string } | { readonly host: string; readonly port: number }

/** Alternates between address families, so that a broken one costs one delay (RFC 8305, 4). */
const interleaved = (addresses: ReadonlyArray<Dns.LookupAddress>): ReadonlyArray<string> => {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family)
  const ordered: Array<string> = []
  for (let n = 0; n < Math.max(first.length, second.length); n++) {
    for (const one of [first[n], second[n]]) if (one !== undefined) ordered.push(one.address)
  }
  return ordered
}

/** Receives the connection or the error; called once. */
export type Callback = (result: Net.Socket | Error) => void

/** One attempt: races the addresses of a host, then waits for TLS. */
class Attempt {
  readonly #make: (address: Address) => Net.Socket
  readonly #isSecure: boolean
  readonly #callback: Callback
  readonly #sockets = new Set<Net.Socket>()
  readonly #errors: Array<Error> = []
  readonly #timeout: NodeJS.Timeout
  #addresses: Array<Address> = []
  #stagger: NodeJS.Timeout | undefined
  #isOver = false

  constructor(
    make: (address: Address) => Net.Socket,
    isSecure: boolean,
    millis: number,
    callback: Callback
  ) {
    this.#make = make
    this.#isSecure = isSecure
    this.#callback = callback
    // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
    this.#timeout = setTimeout(() => this.end(new ConnectTimeoutError(millis)), millis)
  }

  readonly end = (result: Net.Socket | Error) => {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timeout)
    clearTimeout(this.#stagger)
    for (const socket of this.#sockets) if (socket !== result) socket.destroy()
    this.#callback(result)
  }

  try(addresses: ReadonlyArray<Address>) {
    this.#addresses = [...addresses]
    this.#next()
  }

  lookUp(host: string, port: number) {
    // Uses the default export, whose functions a program can replace.
    Dns.lookup(host, { all: true }, (error, found) => {
      if (this.#isOver) return
      if (error !== null) return this.end(new ConnectError(error))
      this.try(interleaved(found).map((address) => ({ host: address, port })))
    })
  }

  #next() {
    clearTimeout(this.#stagger)
    const address = this.#addresses.shift()
    if (address === undefined) return
    const socket = this.#make(address)
    this.#sockets.add(socket)
    const onError = (error: Error) => this.#failed(socket, error)
    socket.on("error", onError)
    socket.once(
      "close",
      () => this.#failed(socket, new Error("the host closed the connection during the handshake"))
    )
    socket.once("connect", () => this.#won(socket))
    if (this.#isSecure) socket.once("secureConnect", () => this.#made(socket))
    if (this.#addresses.length > 0) {
      // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
      this.#stagger = setTimeout(() => this.#next(), ATTEMPT_DELAY_MILLIS)
    }
  }

  /** The first address that connects wins, also if its TLS fails. */
  #won(socket: Net.Socket) {
    if (this.#isOver) return
    this.#addresses = []
    clearTimeout(this.#stagger)
    for (const other of this.#sockets) if (other !== socket) other.destroy()
    this.#sockets.clear()
    this.#sockets.add(socket)
    if (!this.#isSecure) this.#made(socket)
  }

  /**
   * Bytes that a host sends before a request are not the response to it. By the second turn of the event loop,
   * everything that has already arrived was read.
   */
  #made(socket: Net.Socket) {
    setImmediate(() =>
      setImmediate(() => {
        this.end(socket.readableLength > 0 ? spokenUnasked() : socket)
      })
    )
  }

  #failed(socket: Net.Socket, error: Error) {
    if (this.#isOver || !this.#sockets.delete(socket)) return
    this.#errors.push(error)
    if (this.#addresses.length > 0) this.#next()
    else if (this.#sockets.size === 0) this.end(together(this.#errors))
  }
}

/** Prepares a socket for a request: its first error counts, and an early response is read. */
export const prepare = (socket: Net.Socket): void => {
  // After an alert, `node:tls` continues to the end of the stream, whose error says less.
  socket.on("error", () => socket.destroy())
  awaitEarlyResponse(socket)
}

export class Connector {
  readonly #options: Options
  #context: Tls.SecureContext | undefined
  /** The last TLS session of each host, which makes the next connection faster. */
  readonly #sessions = new Map<string, Buffer>()

  /** Throws if the certificate or the key cannot be read. */
  constructor(options: Options) {
    this.#options = options
    this.#context = options.tls === undefined ? undefined : Tls.createSecureContext(options.tls)
  }

  /**
   * Opens a connection and sends nothing. `onread` is passed to each socket, to read into the caller's buffer. Returns
   * a function that aborts, with the error for the callback.
   */
  open(
    target: Target,
    callback: Callback,
    watch?: (connect: (onread?: Net.OnReadOpts) => Net.Socket) => Net.Socket
  ): (reason: Error) => void {
    const { host, isSecure, port } = target
    const { connectMillis, socketPath } = this.#options
    const attempt = new Attempt(
      (address) => {
        const connect = (onread?: Net.OnReadOpts) => this.#connect(address, target, onread)
        const socket = watch === undefined ? connect() : watch(connect)
        prepare(socket)
        return socket
      },
      isSecure,
      connectMillis,
      callback
    )
    if (socketPath !== undefined) attempt.try([{ path: socketPath }])
    else if (Net.isIP(host) !== 0) attempt.try([{ host, port }])
    else attempt.lookUp(host, port)
    return attempt.end
  }

  #connect(address: Address, target: Target, onread: Net.OnReadOpts | undefined): Net.Socket {
    const reading = onread === undefined ? {} : { onread }
    if (!target.isSecure) return Net.connect({ ...address, ...reading, noDelay: true })
    const servername = this.#options.tls?.servername ?? target.servername ?? target.host
    const key = `${servername}:${target.port}`
    const session = this.#sessions.get(key)
    // `onread` is documented, but missing in Node's types.
    const options: Tls.ConnectionOptions & { readonly onread?: Net.OnReadOpts } = {
      ...this.#options.tls,
      secureContext: this.#context ??= Tls.createSecureContext(),
      // An IP address is compared with those of the certificate, and never sent as a server name.
      ...(Net.isIP(servername) === 0 ? { servername } : {}),
      ...(session === undefined ? {} : { session }),
      host: target.host,
      ...address,
      ...reading,
      ALPNProtocols: ["http/1.1"]
    }
    const socket = Tls.connect(options).setNoDelay(true)
    return socket.on("session", (session) => {
      if (this.#sessions.size >= MAX_SESSIONS) this.#sessions.clear()
      this.#sessions.set(key, session)
    })
  }
}
