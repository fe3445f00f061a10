/** A page with core and client over `fetch`, and nothing else. */
import { FetchFileIo, FileBody, FileIo } from "@effect-fileio/client"
import { Effect, ManagedRuntime, Redacted } from "effect"

/** The calls that the test makes in the page. */
export interface Page {
  readonly upload: (
    file: Blob,
    maxDownloads: number
  ) => Promise<{ readonly link: string; readonly size: number | undefined }>
  readonly download: (link: string) => Promise<{ readonly name: string; readonly text: string }>
  readonly failure: (link: string) => Promise<{ readonly reason: string; readonly copy: string | undefined }>
  /** Uploads a file with encryption; returns the name at the host, and what the link gives. */
  readonly encrypted: (
    file: Blob
  ) => Promise<{ readonly hosted: string | undefined; readonly name: string; readonly text: string }>
  readonly account: () => Promise<number | null | undefined>
}

export const connect = (baseUrl: string, apiKey: string): Page => {
  const runtime = ManagedRuntime.make(FetchFileIo.layer({ baseUrl, apiKey: Redacted.make(apiKey) }))
  const use = <A, E>(call: (fileIo: FileIo.Service) => Effect.Effect<A, E>) =>
    runtime.runPromise(FileIo.FileIo.use(call))
  return {
    upload: (file, maxDownloads) =>
      use((fileIo) => fileIo.upload(FileBody.blob(file), { maxDownloads })).then(({ link, size }) => ({ link, size })),
    download: (link) =>
      use((fileIo) => fileIo.downloadBytes(link))
        .then(({ bytes, name }) => ({ name, text: new TextDecoder().decode(bytes) })),
    failure: (link) =>
      use((fileIo) => Effect.flip(fileIo.downloadBytes(link)))
        .then(({ copy, reason }) => ({ reason: reason._tag, copy })),
    encrypted: (file) =>
      use((fileIo) =>
        Effect.gen(function*() {
          const { link, name: hosted } = yield* fileIo.upload(FileBody.blob(file), { encryption: "link" })
          const { bytes, name } = yield* fileIo.downloadBytes(link)
          return { hosted, name, text: new TextDecoder().decode(bytes) }
        })
      ),
    account: () => use((fileIo) => fileIo.me).then(({ rateLimit }) => rateLimit)
  }
}

Object.assign(globalThis, { connect })
