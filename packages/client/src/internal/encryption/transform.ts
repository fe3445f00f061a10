/** Passes the bytes of a stream through the chunks of a payload, a bounded piece at a time. `encrypt` and `decrypt` call it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import { STEP } from "./chunks.ts"
import { Fault } from "./fault.ts"

export interface Chunks {
  readonly push: (bytes: Uint8Array) => Uint8Array | Fault | undefined
  /** Called until it returns nothing, or an error. */
  readonly end: () => Uint8Array | Fault | undefined
  /** After an error: the input from the chunk with the error on. */
  readonly held?: Uint8Array
}

/** Pieces of memory, at least one. */
export type Bytes = readonly [Uint8Array, ...Array<Uint8Array>]

interface Transformed<E, R> {
  readonly output: Pull.Pull<Bytes, E | Fault, void, R>
  /** After an error of the chunks: the input from the chunk with the error on. */
  readonly rest: Pull.Pull<Bytes, E, void, R>
}

/**
 * The input may be a reused buffer: all of it is read before more is requested. Within a large input, other fibers and the
 * event loop run between pieces.
 */
export const transform = <E, R>(
  input: Pull.Pull<ReadonlyArray<Uint8Array>, E, void, R>,
  chunks: Chunks
): Transformed<E, R> => {
  let queue: ReadonlyArray<Uint8Array> = []
  let at = 0
  let from = 0
  let isEnded = false

  /** Works until there is output; `undefined`: more input is needed. */
  const work = (): Uint8Array | Fault | undefined => {
    while (at < queue.length) {
      const piece = queue[at]!.subarray(from, from + STEP)
      from += piece.length
      const output = chunks.push(piece)
      if (from >= queue[at]!.length) {
        at++
        from = 0
      }
      if (output !== undefined) return output
    }
    return undefined
  }

  const give = (output: Uint8Array | Fault): Pull.Pull<Bytes, E | Fault, void, R> =>
    output instanceof Fault ? Effect.fail(output) : output.length === 0 ? next : Effect.succeed([output])

  const finish: Pull.Pull<Bytes, E | Fault, void, R> = Effect.suspend((): Pull.Pull<Bytes, E | Fault, void, R> => {
    isEnded = true
    const output = chunks.end()
    return output === undefined
      ? Cause.done()
      : give(output instanceof Fault ? new Fault(output.problem, output.detail, true) : output)
  })

  const worked = Effect.suspend((): Pull.Pull<Bytes, E | Fault, void, R> => {
    const output = work()
    return output === undefined ? next : give(output)
  })

  const next: Pull.Pull<Bytes, E | Fault, void, R> = Effect.suspend(() =>
    isEnded
      ? finish
      : at < queue.length
      ? Effect.andThen(Effect.yieldNow, worked)
      : Effect.matchEffect(Pull.catchDone(Effect.asSome(input), () => Effect.succeedNone), {
        onFailure: (error) => Effect.fail(error),
        onSuccess: (got) => {
          if (got._tag === "None") return finish
          queue = got.value
          at = 0
          from = 0
          return worked
        }
      })
  )

  let isHeldGiven = false
  const rest: Pull.Pull<Bytes, E, void, R> = Effect.suspend((): Pull.Pull<Bytes, E, void, R> => {
    const held = isHeldGiven || chunks.held === undefined ? [] : [chunks.held]
    isHeldGiven = true
    const [first, ...more] = [
      ...held,
      ...queue.slice(at, at + 1).map((one) => one.subarray(from)),
      ...queue.slice(at + 1)
    ]
    queue = []
    if (first !== undefined) return Effect.succeed([first, ...more])
    return isEnded ? Cause.done() : Effect.flatMap(input, (got) => {
      queue = got
      at = from = 0
      return rest
    })
  })
  return { output: next, rest }
}
