/**
 * Devices, pipes and open descriptors that a path names, such as `/dev/null`, a FIFO, or a shell's `<(…)`. They are
 * read and written directly. `source` and `download` use this module.
 *
 * Pipes are opened without blocking and then polled by the event loop: a blocking read or open would hold a thread of
 * Node's pool, and delay the end of the program after Ctrl-C.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Tty from "node:tty"
import { local, type Problem } from "./problem.ts"
import { type OutputClosed, outputClosed, sync, writeAll } from "./stdio.ts"

/** Interval of attempts to open a pipe without a reader, and the most links to follow. */
const POLL = "50 millis"
const MAX_LINKS = 40

/** Folders in which systems name the descriptors of this process. */
const descriptorFolders = (): ReadonlyArray<string> => {
  try {
    return ["/dev/fd", Fs.realpathSync("/proc/self/fd")]
  } catch {
    return ["/dev/fd"]
  }
}

/** The descriptor of a path such as `/dev/stdin`, `/dev/fd/63` and links to them. */
export const descriptorOf = (path: string): number | undefined => {
  const folders = descriptorFolders()
  try {
    let at = Path.resolve(path)
    for (let links = 0; links < MAX_LINKS; links++) {
      const folder = Fs.realpathSync(Path.dirname(at))
      const name = Path.basename(at)
      if (folders.includes(folder) && /^\d+$/.test(name)) return Number(name)
      at = Path.resolve(folder, Fs.readlinkSync(Path.join(folder, name)))
    }
  } catch {
    // It is no link.
  }
  return undefined
}

type Kind = "descriptor" | "pipe" | "device"

/** `undefined` also where the system does not say, as in a folder that this user cannot search; its first use tells why. */
export const statOf = (path: string | Buffer): Fs.Stats | undefined => {
  try {
    return Fs.statSync(path)
  } catch {
    return undefined
  }
}

/** The kind of a path that is neither a regular file nor a folder; `undefined` also if nothing exists there. */
export const kindOf = (path: string): Kind | Problem | undefined => {
  const info = statOf(path)
  if (info === undefined || info.isDirectory()) return undefined
  if (info.isSocket()) return local(`${path} is a socket`, "Give a file, a pipe or a device.")
  if (info.isFIFO()) return "pipe"
  if (info.isCharacterDevice() || info.isBlockDevice()) return "device"
  return descriptorOf(path) === undefined ? undefined : "descriptor"
}

const { O_APPEND, O_NONBLOCK, O_RDONLY, O_WRONLY } = Fs.constants

/** The bytes of a pipe or a device, up to its end. */
export const read = (path: string, kind: Kind): Stream.Stream<Uint8Array, unknown> =>
  Stream.suspend(() =>
    Stream.fromAsyncIterable<Uint8Array, unknown>(
      (async function*() {
        const descriptor = Fs.openSync(path, kind === "pipe" ? O_RDONLY | O_NONBLOCK : O_RDONLY)
        const input = kind === "pipe"
          ? new Net.Socket({ fd: descriptor, readable: true, writable: false })
          : Tty.isatty(descriptor)
          ? new Tty.ReadStream(descriptor)
          : Fs.createReadStream(path, { fd: descriptor })
        yield* input as AsyncIterable<Uint8Array>
      })(),
      (cause) => cause
    )
  )

export interface Sink {
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, OutputClosed>
  /** Waits until a file has all that was written. */
  readonly finish: Effect.Effect<void, OutputClosed>
}

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code

const cannotWrite = (path: string) => (cause: unknown) =>
  local(`cannot write to ${path}`, "Check it and its permissions. No request was made.", cause)

/** Opens a pipe as soon as it has a reader. */
const openPipe = (path: string): Effect.Effect<number, Problem> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(Fs.openSync(path, O_WRONLY | O_NONBLOCK))
    } catch (cause) {
      return hasCode(cause, "ENXIO") ? Effect.delay(openPipe(path), POLL) : Effect.fail(cannotWrite(path)(cause))
    }
  })

const pipeSink = (path: string) =>
  Effect.acquireRelease(
    // The next write reports a failure.
    Effect.map(
      Effect.interruptible(openPipe(path)),
      (fd) => new Net.Socket({ fd, readable: false, writable: true }).on("error", () => {})
    ),
    (socket) =>
      Effect.callback<void>((resume) => {
        socket.once("close", () => resume(Effect.void)).end(() => resume(Effect.void))
      })
  ).pipe(Effect.map((socket): Sink => ({
    finish: Effect.void,
    write: (chunk) =>
      Effect.callback((resume) => {
        socket.write(chunk, (cause) => resume(cause ? Effect.fail(outputClosed(cause)) : Effect.void))
      })
  })))

const fileSink = (path: string, flags: number) =>
  Effect.acquireRelease(
    Effect.try({ try: () => Fs.openSync(path, flags), catch: cannotWrite(path) }),
    (descriptor) => Effect.sync(() => Fs.closeSync(descriptor))
  ).pipe(Effect.map((descriptor): Sink => {
    const info = Fs.fstatSync(descriptor)
    return {
      write: (chunk) => writeAll(descriptor, chunk),
      finish: info.isFile() || info.isBlockDevice() ? sync(descriptor) : Effect.void
    }
  }))

/**
 * Opens a destination that takes a download as it arrives, before the request. Appends to a regular file that a shell
 * has opened.
 */
export const open = (path: string, kind: Kind) =>
  kind === "pipe" ? pipeSink(path) : fileSink(path, kind === "descriptor" ? O_WRONLY | O_APPEND : O_WRONLY)
