/**
 * Opens connections: TCP, TLS, unix sockets. Both transports of `NodeHttp` call it. What fails here fails before a request can
 * leave, and every error says so: its `syscall` is `connect`.
 */
import Dns from "node:dns"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { awaitEarlyResponse } from "./earlyResponse.ts"

/** How long one address has before the next one is tried beside it (RFC 8305). */
const ATTEMPT_DELAY_MILLIS = 250
/** How many TLS sessions are kept, one for each host. */
const MAX_SESSIONS = 100

const codeOf = (error: Error): string =>
  "code" in error && typeof error.code === "string" && error.code !== "" ? error.code : "ERR_NOT_CONNECTED"

/** No connection was made; `code` is that of the system, of OpenSSL or of the proxy. */
export class ConnectError extends Error {
  override readonly name: string = "ConnectError"
  readonly syscall = "connect"
  readonly code: string
  /** The proxy that was asked for the connection, as `host:port`. */
  readonly proxy: string | undefined
  constructor(cause: Error, code = codeOf(cause), proxy?: string) {
    super(cause.message, { cause })
    this.code = code
    this.proxy = proxy
  }
}

/** The connection was not made in time. */
export class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError"
  readonly syscall = "connect"
  readonly code = "ERR_CONNECT_TIMEOUT"
  /** Milliseconds after which the connection was not waited for any more. */
  readonly connectTimeout: number
  constructor(millis: number) {
    super(`no connection was made within the timeout: ${millis}ms`)
    this.connectTimeout = millis
  }
}

/** The host said something over a new connection before it was asked. */
export const spokenUnasked = () =>
  new ConnectError(new Error("the host spoke before it was asked"), "ERR_SPOKEN_UNASKED")

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
  /** The name that the certificate is for. @default `host` */
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
  /** A unix socket to connect to, whatever the target. */
  readonly socketPath: string | undefined
  readonly tls: TlsSettings | undefined
}

type Address = { readonly path: string } | { readonly host: string; readonly port: number }

/** Alternates between the families, so that a broken one costs one delay (RFC 8305, 4). */
const interleaved = (addresses: ReadonlyArray<Dns.LookupAddress>): ReadonlyArray<string> => {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family)
  const ordered: Array<string> = []
  for (let n = 0; n < Math.max(first.length, second.length); n++) {
    for (const one of [first[n], second[n]]) if (one !== undefined) ordered.push(one.address)
  }
  return ordered
}

/** Receives the connection, or why there is none; once. */
export type Callback = (result: Net.Socket | Error) => void

/** One opening: races the addresses of a host, and then waits for TLS. */
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
    // By the default export, whose functions a program can replace.
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
      () => this.#failed(socket, new Error("the host closed the connection while it was being made"))
    )
    socket.once("connect", () => this.#won(socket))
    if (this.#isSecure) socket.once("secureConnect", () => this.#made(socket))
    if (this.#addresses.length > 0) {
      // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
      this.#stagger = setTimeout(() => this.#next(), ATTEMPT_DELAY_MILLIS)
    }
  }

  /** The first address that answers is taken, also if its TLS fails. */
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
   * What a host says before it was asked is no answer to what it is asked next. The second turn of the event loop comes after
   * everything was read that is here already.
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

/** Makes a socket fit for a request: its first error is the one that counts, and an early answer is read. */
export const prepare = (socket: Net.Socket): void => {
  // After an alert `node:tls` goes on to the end of the stream, which says less.
  socket.on("error", () => socket.destroy())
  awaitEarlyResponse(socket)
}

export class Connector {
  readonly #options: Options
  #context: Tls.SecureContext | undefined
  /** The last TLS session with each host, which makes the next connection faster. */
  readonly #sessions = new Map<string, Buffer>()

  /** Throws where the certificate or the key cannot be read. */
  constructor(options: Options) {
    this.#options = options
    this.#context = options.tls === undefined ? undefined : Tls.createSecureContext(options.tls)
  }

  /**
   * Opens a connection, on which nothing has been sent. `onread` is given to each socket that is tried, for one that reads
   * into a buffer of the caller's. Returns how to give up, for a reason that the callback receives.
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
    // The types of Node leave `onread` out, its documentation does not.
    const options: Tls.ConnectionOptions & { readonly onread?: Net.OnReadOpts } = {
      ...this.#options.tls,
      secureContext: this.#context ??= Tls.createSecureContext(),
      // An address is compared with those of the certificate, and never sent as a name.
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
