/**
 * Archives a folder as tar, while it is sent. Names are bytes on most systems and need not be UTF-8, so they are never decoded: a
 * name goes into the archive as it is on the disk. A long name that is UTF-8 is a record of POSIX (pax), any other one of GNU.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Stream from "effect/Stream"
import type { Stats } from "node:fs"
import { constants } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

const BLOCK = 512
/** Bytes of a name or of a link's target that a header holds; longer ones are in records before it. */
const NAME_BYTES = 100
/** The first number that the twelve octal digits of a header do not hold. */
const TOO_LARGE = 8 ** 11
/** As large as the reads of an uploaded file. */
const READ_BYTES = 512 * 1024

interface Entry {
  readonly path: Buffer
  readonly type: "file" | "folder" | "link"
  readonly mode: number
  readonly size: number
  readonly mtime: number
  readonly target: Buffer
}

const FLAGS = { file: "0", folder: "5", link: "2", records: "x", longName: "L", longTarget: "K" } as const

const isUtf8 = (bytes: Buffer): boolean => Buffer.from(bytes.toString("utf8")).equals(bytes)
const isAscii = (bytes: Buffer): boolean => bytes.every((byte) => byte < 0x80)

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((BLOCK - bytes.length % BLOCK) % BLOCK)])

const octal = (value: number, digits: number): string => Math.floor(value).toString(8).padStart(digits, "0") + "\0"

const header = (entry: Omit<Entry, "type">, flag: string): Buffer => {
  const block = Buffer.alloc(BLOCK)
  entry.path.copy(block, 0, 0, NAME_BYTES)
  block.write(octal(entry.mode & 0o7777, 7), 100)
  block.write(octal(0, 7), 108)
  block.write(octal(0, 7), 116)
  block.write(octal(entry.size < TOO_LARGE ? entry.size : 0, 11), 124)
  block.write(octal(entry.mtime >= 0 && entry.mtime < TOO_LARGE ? entry.mtime : 0, 11), 136)
  block.write(" ".repeat(8), 148)
  block.write(flag, 156)
  entry.target.copy(block, 157, 0, NAME_BYTES)
  block.write("ustar\u000000", 257)
  block.write(octal(block.reduce((sum, byte) => sum + byte, 0), 6) + " ", 148)
  return block
}

/** `length key=value`, whose length counts itself. */
const record = (key: string, value: Buffer): Buffer => {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")])
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

/** What a header cannot hold, as POSIX writes it (pax). */
const records = ({ mtime, path, size, target }: Entry): Buffer => {
  const isNeeded = (bytes: Buffer) => isUtf8(bytes) && !(bytes.length <= NAME_BYTES && isAscii(bytes))
  return Buffer.concat([
    ...(isNeeded(path) ? [record("path", path)] : []),
    ...(isNeeded(target) ? [record("linkpath", target)] : []),
    ...(size < TOO_LARGE ? [] : [record("size", Buffer.from(String(size)))]),
    ...(mtime >= 0 && mtime < TOO_LARGE && Number.isInteger(mtime)
      ? []
      : [record("mtime", Buffer.from(String(mtime)))])
  ])
}

const NOTHING = Buffer.alloc(0)

/** A block of data about the entry that follows it. */
const about = (name: string, flag: string, data: Buffer): Buffer =>
  data.length === 0
    ? NOTHING
    : Buffer.concat([
      header({ path: Buffer.from(name), mode: 0o644, size: data.length, mtime: 0, target: NOTHING }, flag),
      padded(data)
    ])

const heads = (entry: Entry): Buffer => {
  const long = (bytes: Buffer) =>
    isUtf8(bytes) || bytes.length <= NAME_BYTES ? NOTHING : Buffer.concat([bytes, Buffer.alloc(1)])
  return Buffer.concat([
    about("records", FLAGS.records, records(entry)),
    about("././@LongLink", FLAGS.longTarget, long(entry.target)),
    about("././@LongLink", FLAGS.longName, long(entry.path)),
    header(entry, FLAGS[entry.type])
  ])
}

const join = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, Buffer.from(Path.sep), name])

/** The bytes of a file, as many as it had when it was looked at: a log that grows is archived as it was then. */
const contentOf = async function*(path: Buffer, size: number): AsyncGenerator<Buffer> {
  const file = await Fs.open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  try {
    for (let done = 0; done < size;) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - done))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, done)
      if (bytesRead === 0) throw new FileIoError.SourceFailed({ path: String(path), problem: "it became shorter" })
      done += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
  yield Buffer.alloc((BLOCK - size % BLOCK) % BLOCK)
}

const typeOf = (info: Stats): Entry["type"] | undefined =>
  info.isFile() ? "file" : info.isDirectory() ? "folder" : info.isSymbolicLink() ? "link" : undefined

const entries = async function*(
  path: Buffer,
  name: Buffer,
  onSkipped: (path: string) => void
): AsyncGenerator<Buffer> {
  const info = await Fs.lstat(path)
  const type = typeOf(info)
  if (type === undefined) return onSkipped(String(path))
  const entry = { type, mode: info.mode, size: 0, mtime: info.mtimeMs / 1000, target: NOTHING }
  if (type === "link") {
    yield heads({ ...entry, path: name, target: await Fs.readlink(path, { encoding: "buffer" }) })
  } else if (type === "file") {
    yield heads({ ...entry, path: name, size: info.size })
    yield* contentOf(path, info.size)
  } else {
    yield heads({ ...entry, path: Buffer.concat([name, Buffer.from("/")]) })
    const members = (await Fs.readdir(path, { encoding: "buffer" })).toSorted((a, b) => Buffer.compare(a, b))
    for (const member of members) {
      yield* entries(join(path, member), Buffer.concat([name, Buffer.from("/"), member]), onSkipped)
    }
  }
}

/** The last part of a path; that of the folder itself for `.` and `..`. */
export const nameOf = (path: Buffer): Buffer => {
  // Each byte as a character, so that the same bytes come back.
  const name = Path.basename(path.toString("latin1"))
  return /^\.{0,2}$/.test(name)
    ? Buffer.from(Path.basename(Path.resolve(path.toString())) || "root")
    : Buffer.from(name, "latin1")
}

const archive = async function*(root: Buffer, onSkipped: (path: string) => void): AsyncGenerator<Buffer> {
  yield* entries(root, nameOf(root), onSkipped)
  yield Buffer.alloc(2 * BLOCK)
}

const unreadable = (cause: unknown): FileIoError.SourceFailed =>
  cause instanceof FileIoError.SourceFailed ? cause : new FileIoError.SourceFailed({
    ...(cause instanceof Error && "path" in cause ? { path: String(cause.path) } : {}),
    problem: "it cannot be read",
    cause
  })

/**
 * The archive of a folder, with the folder itself as its first entry. Links stay links. Anything other than a file,
 * folder or link (a socket, a device) is left out, and `onSkipped` is called with it.
 */
export const folder = (
  root: Buffer,
  onSkipped: (path: string) => void
): Stream.Stream<Uint8Array, FileIoError.SourceFailed> =>
  Stream.suspend(() => Stream.fromAsyncIterable(archive(root, onSkipped), unreadable))
