/**
 * A TCP proxy that fails as networks and machines do: it goes silent, cuts connections, refuses them, and loses answers.
 *
 * It stands between a server and one of its engines. Everything is counted, so a test can wait for an event instead of a time.
 */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

/**
 * `pass` hands on what comes; `silent` keeps connections, also new ones, and hands nothing on; `refuse` closes new connections at
 * once.
 */
export type Mode = "pass" | "silent" | "refuse"

interface Pair {
  readonly client: Net.Socket
  readonly engine: Net.Socket
  silent: boolean
  /** The last bytes that the client sent, in which words are looked for. */
  sent: string
  losing: boolean
}

export interface Proxy {
  readonly port: number
  /** `pass` ends what `meet` waits for, too. */
  readonly setMode: (mode: Mode) => void
  /** Connections that were accepted so far. */
  readonly accepted: () => number
  /** Pieces that clients sent so far; at least one for each request that waits for an answer. */
  readonly requests: () => number
  /** Connections that are open now. */
  readonly open: () => number
  /** The connections of now hand nothing on any more; new ones are as the mode says. */
  readonly silenceOpen: () => void
  /** Resets the connections of now. */
  readonly cut: () => void
  /** Does this to the next request with all of these words. Resolves when that has happened. */
  readonly meet: (how: Fault, ...words: ReadonlyArray<string>) => Promise<void>
}

/**
 * `lose`: the engine gets the request, its answer is lost, and the connection is cut. `swallow`: the engine does not get it, and the
 * connection stays and hands nothing on any more. `cut`: the engine does not get it, and the connection is cut. `silence`: from it on
 * the mode is `silent`.
 */
export type Fault = "lose" | "swallow" | "cut" | "silence"

/** An answer may come in several pieces; it is complete when nothing came for this many milliseconds. */
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
      const pair: Pair = { client, engine: Net.connect(target, "127.0.0.1"), silent: false, sent: "", losing: false }
      pairs.add(pair)
      const isSilent = () => mode === "silent" || pair.silent
      const wire = (from: Net.Socket, to: Net.Socket, isRequest: boolean) => {
        from.on("data", (data: Buffer) => {
          if (isSilent() || !isRequest && pair.losing) return
          if (isRequest) {
            requests++
            onRequest(pair, data)
            if (isSilent()) return
          }
          if (to.destroyed || to.write(data)) return
          from.pause()
          to.once("drain", () => from.resume())
        })
        from.on("end", () => isSilent() || to.end())
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
        if (next === "pass") trap = undefined
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
