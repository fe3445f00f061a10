/**
 * The client's `Platform` on Node: free disk space by `statfs`, process identity by pid (on Linux also by boot,
 * container and start time), SHA-256, ChaCha20-Poly1305 and scrypt by `node:crypto`. `NodeFileIo` provides it.
 *
 * @since 0.1.0
 */
import * as Platform from "@effect-fileio/client/Platform"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { systemError } from "effect/PlatformError"
import { createCipheriv, createDecipheriv, createHash, scrypt } from "node:crypto"
import * as Fs from "node:fs"
import * as FsPromises from "node:fs/promises"
import * as Os from "node:os"
import * as Process from "node:process"
import { threadId } from "node:worker_threads"

const read = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "latin1")
  } catch {
    return undefined
  }
}

/** Start time of a process, in Linux's clock ticks since boot; needed since pids are reused. */
const beginOf = (pid: number): string | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  // The program's name comes second, in brackets, and may contain anything.
  return stat === undefined ? undefined : stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
}

const exists = (pid: number): boolean => {
  try {
    Process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Identifies this boot of the machine. */
const boot = read("/proc/sys/kernel/random/boot_id")?.trim() ?? ""

/** Identifies the pid namespace: each container on a machine has its own. */
const namespace = (() => {
  try {
    return Fs.readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
})()

const begin = beginOf(Process.pid) ?? ""

const parsed = (writer: string): ReadonlyArray<unknown> => {
  try {
    const value: unknown = JSON.parse(writer)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

const stateOf: Platform.ProcessIdentity["stateOf"] = (writer, lastWrite) =>
  Effect.suspend(() => {
    const [host, itsBoot, itsNamespace, pid, began, thread] = parsed(writer)
    if (host !== Os.hostname()) return Platform.stateBySilence(lastWrite)
    if (itsBoot !== boot) return Effect.succeed("rebooted")
    if (pid === undefined) return Effect.succeed("exited")
    if (itsNamespace !== namespace || typeof pid !== "number") return Platform.stateBySilence(lastWrite)
    if (!exists(pid)) return Effect.succeed("exited")
    if (began !== "" && began !== (beginOf(pid) ?? "")) return Effect.succeed("exited")
    // Node does not report which threads of a process are alive.
    return pid === Process.pid && thread !== threadId ? Platform.stateBySilence(lastWrite) : Effect.succeed("alive")
  })

/** Linux says the umask; elsewhere Node learns it by setting it for a moment, in which another thread may make a file. */
const umask = (): number => {
  const [, mask] = /^Umask:\s*([0-7]+)$/m.exec(read("/proc/self/status") ?? "") ?? []
  return mask === undefined ? Process.umask() : Number.parseInt(mask, 8)
}

/** Effect's files on Node have their descriptor, though its interface does not. */
const descriptorOf = (file: FileSystem.File): number | undefined =>
  "fd" in file && typeof file.fd === "number" ? file.fd : undefined

const setMode: Platform.Platform["setMode"] = (file, mode) =>
  Effect.suspend(() => {
    const descriptor = descriptorOf(file)
    if (descriptor === undefined || Process.platform === "win32") return Effect.void
    return Effect.try({
      try: () => Fs.fchmodSync(descriptor, mode ?? 0o666 & ~umask()),
      catch: (cause) => systemError({ module: "FileSystem", method: "fchmod", _tag: "Unknown", cause })
    })
  })

/**
 * How much memory there is for a key. A process that takes more than there is may be killed without an error. What a container
 * uses contains its cache of files, so only its limit counts; and only Linux says how much could be made free.
 */
const freeMemory = (): number =>
  Math.min(Process.platform === "linux" ? Os.freemem() : Os.totalmem(), Process.constrainedMemory() || Infinity)

/** Bytes of a tag. */
const TAG = 16

/**
 * Copies what the cipher gave, and gives its memory back at once. Node takes new memory outside of the heap for each chunk, and
 * collecting it would take as long as the encryption.
 */
const moveInto = (bytes: Buffer, into: Uint8Array): void => {
  into.set(bytes)
  if (bytes.buffer instanceof ArrayBuffer && bytes.length === bytes.buffer.byteLength) bytes.buffer.transfer(0)
}

const cipher: Platform.Cipher = {
  seal: (key, nonce, plaintext, into) => {
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG })
    moveInto(cipher.update(plaintext), into)
    cipher.final()
    into.set(cipher.getAuthTag(), plaintext.length)
  },
  open: (key, nonce, sealed, into) => {
    const end = sealed.length - TAG
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG })
    decipher.setAuthTag(sealed.subarray(end))
    const plaintext = decipher.update(sealed.subarray(0, end))
    try {
      decipher.final()
    } catch {
      return false
    }
    moveInto(plaintext, into)
    return true
  }
}

/**
 * The platform of this process and thread.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Platform.Platform = {
  freeSpace: (folder) =>
    Effect.tryPromise(() => FsPromises.statfs(folder)).pipe(
      Effect.map(({ bavail, bsize }): number | undefined => bavail * bsize),
      Effect.orElseSucceed(() => undefined)
    ),
  process: {
    self: JSON.stringify([Os.hostname(), boot, namespace, Process.pid, begin, threadId]),
    released: JSON.stringify([Os.hostname(), boot]),
    stateOf
  },
  userId: Process.geteuid?.(),
  setMode,
  sha256: () => {
    const hash = createHash("sha256")
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") }
  },
  cipher: Effect.succeed(cipher),
  scrypt: (passphrase, salt, logN) =>
    Effect.callback<Uint8Array, Platform.NotEnoughMemory>((resume) => {
      const free = freeMemory()
      const refused = Effect.fail({ _tag: "NotEnoughMemory" as const, free })
      if (2 ** (logN + 10) > free) return resume(refused)
      const options = { N: 2 ** logN, r: 8, p: 1, maxmem: 2 ** (logN + 11) }
      // Only a lack of memory makes it fail.
      scrypt(passphrase, salt, 32, options, (error, key) => resume(error === null ? Effect.succeed(key) : refused))
    })
}

/**
 * Lets downloads check free disk space before a request, take over parts of exited processes, and compute digests and
 * encrypt with OpenSSL.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(Platform.CurrentPlatform, make)
