/**
 * A TCP proxy that fails as networks and machines do: it goes silent, cuts connections, refuses them, and loses responses.
 *
 * It stands between a server and one of its engines. Everything is counted, so a test can wait for an event instead of a time.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

/**
 * `pass` forwards bytes; `silent` keeps connections, also new ones, and forwards nothing; `refuse` closes new connections at
 * once.
 */
type Mode = "pass" | "silent" | "refuse"

interface Pair {
  readonly client: Net.Socket
  readonly engine: Net.Socket
  silent: boolean
  /** The last bytes from the client, which are searched for words. */
  sent: string
  losing: boolean
  /** What the client sent since its connection is held. */
  held: Array<Buffer> | undefined
}

export interface Proxy {
  readonly port: number
  /** `pass` also ends what `meet` waits for, and sends on what is held. */
  readonly setMode: (mode: Mode) => void
  /** Number of accepted connections. */
  readonly accepted: () => number
  /** Number of pieces that clients sent; at least one for each pending request. */
  readonly requests: () => number
  /** Open connections. */
  readonly open: () => number
  /** Makes the current connections silent; new ones follow the mode. */
  readonly silenceOpen: () => void
  /** Resets the current connections. */
  readonly cut: () => void
  /** Applies a fault to the next request with all of these words. Resolves when that has happened. */
  readonly meet: (how: Fault, ...words: ReadonlyArray<string>) => Promise<void>
}

/**
 * `lose`: the engine gets the request, its response is lost, and the connection is cut. `swallow`: the engine does not get it,
 * and the connection stays open and silent. `cut`: the engine does not get it, and the connection is cut. `silence`: from it on
 * the mode is `silent`. `hold`: the engine gets it when `setMode("pass")` is called.
 */
export type Fault = "lose" | "swallow" | "cut" | "silence" | "hold"

/** A response may come in several pieces; it is complete when nothing has come for this many milliseconds. */
const ANSWER_QUIET = 50
const REMEMBERED = 64 * 1024

export const proxy = (target: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pairs = new Set<Pair>()
    let mode: Mode = "pass"
    let accepted = 0
    let requests = 0
    let trap: { readonly how: Fault; readonly words: ReadonlyArray<string>; readonly done: () => void } | undefined

    const end = (pair: Pair) => {
      pairs.delete(pair)
      pair.client.resetAndDestroy()
      pair.engine.resetAndDestroy()
    }

    const lose = (pair: Pair, done: () => void) => {
      pair.losing = true
      let quiet: NodeJS.Timeout | undefined
      pair.engine.on("data", () => {
        clearTimeout(quiet)
        quiet = setTimeout(() => {
          end(pair)
          done()
        }, ANSWER_QUIET)
      })
    }

    const spring = (pair: Pair, how: Fault, done: () => void) => {
      if (how === "lose") return lose(pair, done)
      if (how === "cut") end(pair)
      else if (how === "swallow") pair.silent = true
      else if (how === "hold") pair.held = []
      else mode = "silent"
      done()
    }

    const onRequest = (pair: Pair, data: Buffer) => {
      if (trap === undefined) return
      pair.sent = (pair.sent + data.toString("latin1")).slice(-REMEMBERED)
      const { done, how, words } = trap
      if (!words.every((word) => pair.sent.includes(word))) return
      trap = undefined
      spring(pair, how, done)
    }

    const connect = (client: Net.Socket) => {
      accepted++
      if (mode === "refuse") return void client.resetAndDestroy()
      const pair: Pair = {
        client,
        engine: Net.connect(target, "127.0.0.1"),
        silent: false,
        sent: "",
        losing: false,
        held: undefined
      }
      pairs.add(pair)
      const isSilent = () => mode === "silent" || pair.silent
      const wire = (from: Net.Socket, to: Net.Socket, isRequest: boolean) => {
        from.on("data", (data: Buffer) => {
          // TCP never continues after bytes that it lost: a connection that was silent once stays so.
          if (isSilent()) pair.silent = true
          if (pair.silent || !isRequest && pair.losing) return
          if (isRequest) {
            requests++
            onRequest(pair, data)
            if (isSilent()) {
              pair.silent = true
              return
            }
            if (pair.held !== undefined) return void pair.held.push(data)
          }
          if (to.destroyed || to.write(data)) return
          from.pause()
          to.once("drain", () => from.resume())
        })
        from.on("end", () => {
          if (!isSilent()) to.end()
          else if (isRequest) end(pair)
        })
        from.on("error", () => {})
        from.on("close", () => {
          if (isRequest || !isSilent()) end(pair)
        })
      }
      wire(client, pair.engine, true)
      wire(pair.engine, client, false)
    }

    const server = Net.createServer({ allowHalfOpen: true }, connect)
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            for (const pair of pairs) end(pair)
          })
        )
    )

    return {
      port: (server.address() as Net.AddressInfo).port,
      setMode: (next) => {
        mode = next
        if (next !== "pass") return
        trap = undefined
        for (const pair of pairs) {
          for (const data of pair.held ?? []) pair.engine.write(data)
          pair.held = undefined
        }
      },
      accepted: () => accepted,
      requests: () => requests,
      open: () => pairs.size,
      silenceOpen: () => {
        for (const pair of pairs) pair.silent = true
      },
      cut: () => {
        for (const pair of pairs) end(pair)
      },
      meet: (how, ...words) =>
        new Promise((resolve) => {
          for (const pair of pairs) pair.sent = ""
          trap = { how, words, done: resolve }
        })
    } satisfies Proxy
  })
