/**
 * Parses an upload: streams its content to a blob, and collects its settings, which are small.
 *
 * The parsers return pieces of the body, which are collected, and written while the next ones are read. Effect's
 * `multipartStream` makes an Effect stream of every part, and writing it with `fs.sink` took 3.8 to 5.0 s for 1 GiB.
 *
 * Nothing here blocks the event loop: names, values and boundaries have limits, and work is linear in the input.
 */
import * as FileName from "@effect-fileio/core/FileName"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as MediaType from "@effect-fileio/core/MediaType"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Blobs, type BlobsError, type Writer } from "../../Blobs.ts"
import type { CatalogError, SmallFiles } from "../../Catalog.ts"
import * as Messages from "../node/messages.ts"
import { giveBack } from "../shared/memoryBudget.ts"
import * as BodyStream from "./bodyStream.ts"
import * as Disposition from "./disposition.ts"
import * as FormParser from "./formParser.ts"
import * as HeldBytes from "./heldBytes.ts"
import * as MultipartParser from "./multipartParser.ts"
import * as Refusal from "./refusal.ts"

export interface ReceivedFile {
  readonly writer: Pick<Writer, "id" | "finish" | "keep">
  /** All bytes, if the catalog is to hold them. */
  readonly bytes?: Uint8Array
  /** Whether the catalog need not record the blob, since it has: that of a resumable upload. */
  readonly isRecorded?: boolean
  readonly name: string
  readonly mimeType: string
  readonly size: number
}

export interface Received {
  readonly file: ReceivedFile | undefined
  readonly settings: typeof FileSettings.FileSettingsFromFields.Type
}

export interface Limits {
  /** Largest file, in bytes. */
  readonly maxUploadBytes: number
  /** Takes bytes from the account's storage, while there are enough. */
  readonly reserve: (bytes: number) => Effect.Effect<void, Refusal.Refusal | CatalogError>
  /** Which files the catalog holds itself. */
  readonly smallFiles: SmallFiles | undefined
}

const MAX_PARTS = 100
/** Most bytes of a setting such as `title`. */
const MAX_SETTING_BYTES = 4096
/** Room for the boundary, the headers and the fields around a file of the largest size. */
export const MAX_OVERHEAD = 1024 * 1024
const URLENCODED = "application/x-www-form-urlencoded"
const UNNAMED = "file"
const TEXT_NAME = "text.txt"
const SETTINGS = ["expires", "maxDownloads", "autoDelete", "title", "countFrom"] as const

const isSetting = (name: string): boolean => (SETTINGS as ReadonlyArray<string>).includes(name)

const decodeSettings = Schema.decodeUnknownEffect(FileSettings.FileSettingsFromFields)

type Problem = Refusal.Refusal | BlobsError | CatalogError

type Fields = Map<string, string>

const settingsOf = Effect.fnUntraced(function*(fields: Fields) {
  if (fields.size === 0) return {}
  const given: Record<string, string> = {}
  for (const name of SETTINGS) {
    const value = fields.get(name)
    if (value === undefined) continue
    given[name] = value
    // One at a time, so that the response names the field.
    yield* Effect.mapError(
      decodeSettings({ [name]: value }),
      (error) => Refusal.invalid(`${name}: ${error.message.split("\n")[0]!}`)
    )
  }
  return yield* Effect.mapError(decodeSettings(given), (error) => Refusal.invalid(error.message))
})

export const empty = Refusal.invalid("file: it is empty; the size of a file cannot be 0")
/** What was dropped in silence would be taken for stored. */
const several = Refusal.invalid("file: there is more than one file or text; send each by a request of its own")
const tooManyParts = Refusal.invalid(`The body has more than ${MAX_PARTS} fields`)
const malformed = (what: string) => Refusal.invalid(`The multipart body is malformed: ${what}`)

/** A file or a text that is arriving. Its writer is opened when it is too large to be a small file. */
interface Content {
  readonly name: string
  readonly mimeType: string
  size: number
  /** The first bytes, while there is no writer. */
  readonly held: HeldBytes.HeldBytes
  writer: Writer | undefined
}

const makeContent = (name: string, mimeType: string): Content => ({
  name,
  mimeType,
  size: 0,
  held: HeldBytes.make(),
  writer: undefined
})

const drop: FormParser.Sink = () => {}

const encoder = new TextEncoder()

const makeDecoder = (charset: string | undefined) => {
  try {
    return new TextDecoder(charset, { ignoreBOM: true })
  } catch {
    return new TextDecoder("utf-8", { ignoreBOM: true })
  }
}

/** Content of a form in either encoding: its settings, and the pieces of its content that are yet to be written. */
const makeForm = () => {
  const fields: Fields = new Map()
  const pieces: Array<readonly [Content, Uint8Array]> = []
  const form = {
    fields,
    pieces,
    file: undefined as Content | undefined,
    /** Whether the file's part has no file name: a browser sends it so if no file was chosen. */
    unnamed: false,
    /** Whether a field named `file` is a text: curl without the `@`, or a program that gives its part no file name. */
    isNameless: false,
    text: undefined as Content | undefined,
    problem: undefined as Refusal.Refusal | undefined
  }

  /** Number of file parts: with a name, or with bytes. */
  let files = 0
  const isFileChosen = () => form.file !== undefined && (form.file.size > 0 || !form.unnamed)

  const onSetting = (name: string, charset: string | undefined): FormParser.Sink => {
    const decoder = makeDecoder(charset)
    let value = ""
    let size = 0
    // The first one counts, even while it is incomplete.
    fields.set(name, value)
    return (bytes) => {
      if (bytes === null) return void fields.set(name, value + decoder.decode())
      size += bytes.length
      if (size > MAX_SETTING_BYTES) {
        form.problem ??= Refusal.invalid(`${name}: it is longer than ${MAX_SETTING_BYTES} bytes`)
      } else value += decoder.decode(bytes, { stream: true })
    }
  }

  const onText = (charset: string | undefined): FormParser.Sink => {
    const content = form.text = makeContent(TEXT_NAME, "text/plain")
    const decoder = makeDecoder(charset)
    return (bytes) => {
      const text = bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true })
      if (text !== "") pieces.push([content, encoder.encode(text)])
    }
  }

  const onField = (name: string, charset: string | undefined): FormParser.Sink =>
    isSetting(name) && !fields.has(name)
      ? onSetting(name, charset)
      : name === "text" && form.text === undefined
      ? onText(charset)
      : name === "file"
      ? onNameless
      : drop

  const onNameless: FormParser.Sink = (bytes) => {
    if (bytes !== null && bytes.length > 0) form.isNameless = true
  }

  const onFile = (name: string, contentType: string): FormParser.Sink => {
    // The first part with a file name is the file, whatever its field is called. A browser sends an empty part without a name
    // if no file was chosen.
    let isCounted = false
    const count = () => {
      if (!isCounted) files++
      isCounted = true
      if (files > 1) form.problem ??= several
    }
    const isFirst = files === 0
    if (name !== "") count()
    if (!isFirst) return (bytes) => void (bytes !== null && count())
    const described = Disposition.describe(name, contentType)
    form.unnamed = described.name === ""
    form.problem ??= described.problem
    const content = form.file = makeContent(described.name || UNNAMED, described.mimeType)
    return (bytes) => {
      if (bytes === null) return
      count()
      // A small view would keep the whole chunk in memory until it is written.
      pieces.push([content, bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes])
    }
  }

  return { form, onField, onFile, isFileChosen }
}

type Form = ReturnType<typeof makeForm>

const makeMultipart = (contentType: string, { form, onField, onFile }: Form): FormParser.Parser =>
  MultipartParser.make({
    contentType,
    maxParts: MAX_PARTS,
    onPart: ({ contentType = "", field, fileName }) =>
      fileName === undefined
        ? onField(field!, MediaType.parameter(contentType, "charset"))
        : onFile(fileName, contentType),
    onTooMany: () => {
      form.problem ??= tooManyParts
    },
    onMalformed: (problem) => {
      form.problem ??= malformed(problem)
    }
  })

const makeUrlencoded = ({ form, onField }: Form): FormParser.Parser =>
  FormParser.make({
    maxFields: MAX_PARTS,
    onField: (name) => onField(name, undefined),
    onTooMany: () => {
      form.problem ??= tooManyParts
    }
  })

/** A body with the headers that say what it is: that of a request, or one that came over several. */
export interface Body {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly stream: Stream.Stream<Uint8Array, Problem>
}

const endedEarly = Refusal.invalid("The body ended early")

/** The body of a request. */
export const bodyOf = (request: HttpServerRequest.HttpServerRequest): Body => ({
  headers: request.headers,
  stream: BodyStream.of(NodeHttpServerRequest.toIncomingMessage(request), endedEarly)
})

/** Unread bytes of a broken body, if they directly follow those that were read. */
export const restOf = (
  request: HttpServerRequest.HttpServerRequest,
  exit: Exit.Exit<void, unknown>,
  taken: number
): ReadonlyArray<Uint8Array> => {
  const incoming = NodeHttpServerRequest.toIncomingMessage(request)
  const isBroken = Exit.isFailure(exit) &&
    (Cause.hasInterruptsOnly(exit.cause) ||
      exit.cause.reasons.every((reason) => reason._tag === "Fail" && reason.error === endedEarly))
  return isBroken && incoming instanceof Messages.Request ? incoming.restAfter(taken) : []
}

/** Takes over bytes of a content, within its limits: holds those of a small file, and writes the others. */
const store = Effect.fnUntraced(function*(limits: Limits, content: Content, bytes: Uint8Array) {
  content.size += bytes.length
  if (content.size > limits.maxUploadBytes) {
    return yield* Refusal.tooLarge("maxUploadBytes", content.size, limits.maxUploadBytes)
  }
  yield* limits.reserve(bytes.length)
  if (content.writer === undefined) {
    if (content.size <= (limits.smallFiles?.maxBytes ?? 0)) return content.held.add(bytes)
    const writer = content.writer = yield* (yield* Blobs).writer
    const before = content.held.take()
    if (before.length > 0) yield* writer.write(before)
  }
  yield* content.writer.write(bytes)
})

/** Stores what a form has of contents so far. */
const drain = Effect.fnUntraced(function*(form: Form["form"], limits: Limits) {
  if (form.problem !== undefined) return yield* form.problem
  for (const [content, bytes] of form.pieces.splice(0)) yield* store(limits, content, bytes)
})

const nothing = Effect.void

/** The received file, once all of it has arrived. */
const received = Effect.fnUntraced(function*(
  { held, mimeType, name, size, writer }: Content,
  { smallFiles }: Limits
): Effect.fn.Return<ReceivedFile, Refusal.Refusal> {
  if (writer !== undefined) return { writer, name, mimeType, size }
  if (size === 0 || smallFiles === undefined) return yield* empty
  const id = yield* smallFiles.newId
  return {
    writer: { id, finish: nothing, keep: nothing },
    isRecorded: true,
    bytes: held.take(),
    name,
    mimeType,
    size
  }
})

const receiveForm = Effect.fnUntraced(function*(
  body: Body,
  limits: Limits,
  maxBodyBytes: number,
  makeParser: (form: Form) => FormParser.Parser
) {
  const made = makeForm()
  const { form, isFileChosen } = made
  const parser = makeParser(made)

  let total = 0
  yield* Stream.runForEachArray(body.stream, (chunks) => {
    for (const chunk of chunks) {
      total += chunk.length
      const before = form.pieces.length
      parser.write(chunk)
      if (!form.pieces.some(([, { buffer }], index) => index >= before && buffer === chunk.buffer)) giveBack(chunk)
    }
    // Discarded bytes have a limit too.
    if (total > maxBodyBytes) return Effect.fail(Refusal.tooLarge("maxUploadBytes", total, limits.maxUploadBytes))
    return form.problem === undefined && form.pieces.length === 0 ? Effect.void : drain(form, limits)
  })
  parser.end()
  yield* drain(form, limits)

  if (isFileChosen() && form.text !== undefined && form.text.size > 0) return yield* several
  const content = isFileChosen() || form.text === undefined ? form.file : form.text
  if (content === undefined && form.isNameless) return yield* Refusal.namelessFile
  return { fields: form.fields, file: content === undefined ? undefined : yield* received(content, limits) }
})

const typeOf = (contentType: string): string => contentType.split(";")[0]!.trim().toLowerCase()

export const hasBody = ({ headers }: Pick<Body, "headers">): boolean =>
  headers["content-length"] !== "0" &&
  (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined)

/** Whether the type is none of a form. */
export const hasRawType = ({ headers }: Pick<Body, "headers">): boolean => {
  const type = typeOf(headers["content-type"] ?? "")
  return !type.startsWith("multipart/") && type !== URLENCODED
}

/** Whether the type is that of a form with a file. */
export const hasMultipartType = ({ headers }: Pick<Body, "headers">): boolean =>
  typeOf(headers["content-type"] ?? "") === "multipart/form-data"

/** Whether the body is no form but a file's bytes, as `curl -T` sends them. */
export const isRaw = (body: Pick<Body, "headers">): boolean => hasBody(body) && hasRawType(body)

/** Names of a file whose bytes are the body, where the body's own headers have none. */
export interface Names {
  /** The last part of the path, which was given for this file. */
  readonly path?: string | undefined
  /** The file's current name. */
  readonly present?: string | undefined
}

/** The name and the type of a file whose bytes are the body. */
export const describeRaw = Effect.fnUntraced(function*({ headers }: Pick<Body, "headers">, names: Names) {
  const encoding = headers["content-encoding"]
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") return yield* Refusal.encoded(encoding)
  // RFC 9110, 14.5: a range must not be stored as the whole.
  if (headers["content-range"] !== undefined) {
    return yield* Refusal.invalid("Content-Range: a piece of a file is not taken; send the whole file")
  }
  const contentType = headers["content-type"] ?? ""
  const type = typeOf(contentType)
  const given = Option.getOrUndefined(FileName.fromContentDisposition(headers["content-disposition"] ?? "")) ??
    names.path
  if (type === "application/json" && given === undefined) return yield* Refusal.namelessJson
  const described = Disposition.describe(given ?? names.present ?? "", contentType)
  if (described.problem !== undefined) return yield* described.problem
  const unnamed = type === "text/plain" ? TEXT_NAME : UNNAMED
  return { name: described.name || unnamed, mimeType: described.mimeType }
})

const receiveRaw = Effect.fnUntraced(function*(body: Body, limits: Limits, names: Names) {
  const { mimeType, name } = yield* describeRaw(body, names)
  const content = makeContent(name, mimeType)
  yield* Stream.runForEachArray(
    body.stream,
    Effect.forEach((chunk) => store(limits, content, chunk), { discard: true })
  )
  return { fields: new Map<string, string>(), file: yield* received(content, limits) }
})

/** A body that says its length is refused before it is read. */
const checkLength = ({ headers }: Body, maxUploadBytes: number, maxBodyBytes: number) => {
  const length = Number(headers["content-length"])
  return length > maxBodyBytes
    ? Effect.fail(Refusal.tooLarge("maxUploadBytes", length, maxUploadBytes))
    : Effect.void
}

/**
 * Reads the body of an upload or an update. The blob has yet to be finished, and is removed with the scope unless it is kept.
 * `query` has settings that form fields override; `names` apply to a body that is the file itself.
 */
export const receive = Effect.fnUntraced(function*(
  body: Body,
  limits: Limits,
  query: typeof FileSettings.FileSettingsFromFields.Type,
  names: Names = {}
): Effect.fn.Return<Received, Problem, Blobs | Scope.Scope> {
  const { maxUploadBytes } = limits
  const contentType = body.headers["content-type"] ?? ""
  const type = typeOf(contentType)
  const isUrlencoded = type === URLENCODED
  // URL-encoded, a byte takes up to three.
  const maxBodyBytes = maxUploadBytes * (isUrlencoded ? 3 : 1) + MAX_OVERHEAD
  yield* checkLength(body, maxUploadBytes, maxBodyBytes)
  const { fields, file } = type === "multipart/form-data"
    ? yield* receiveForm(body, limits, maxBodyBytes, (form) => makeMultipart(contentType, form))
    : isUrlencoded
    ? yield* receiveForm(body, limits, maxBodyBytes, makeUrlencoded)
    : isRaw(body)
    ? yield* receiveRaw(body, limits, names)
    : hasBody(body)
    ? yield* Refusal.unsupported
    : { fields: new Map<string, string>(), file: undefined }
  const settings = { ...query, ...(yield* settingsOf(fields)) }
  return { file, settings }
})
