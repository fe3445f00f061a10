import { FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import type { Account, FileDetails, FileIoError, InvalidOption } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { describe, it } from "@effect/vitest"
import { Stream } from "effect"
import type { Config, Effect, FileSystem, Layer, Path, Scope } from "effect"
import type { HttpClient } from "effect/http"
import { expectTypeOf } from "vitest"

type Call<A> = Effect.Effect<A, FileIoError.FileIoError>

describe("types", () => {
  it("every call fails with FileIoError alone and needs nothing", () => {
    expectTypeOf<ReturnType<FileIo.Service["upload"]>>().toEqualTypeOf<Call<FileDetails.FileDetails>>()
    expectTypeOf<ReturnType<FileIo.Service["downloadBytes"]>>().toEqualTypeOf<Call<FileIo.DownloadedBytes>>()
    expectTypeOf<FileIo.Service["me"]>().toEqualTypeOf<Call<Account.Account>>()
    expectTypeOf<ReturnType<FileIo.Service["update"]>>().toEqualTypeOf<Call<FileDetails.FileDetails>>()
    expectTypeOf<ReturnType<FileIo.Service["replace"]>>().toEqualTypeOf<Call<FileDetails.FileDetails>>()
    expectTypeOf<ReturnType<FileIo.Service["delete"]>>().toEqualTypeOf<Call<void>>()
    expectTypeOf<ReturnType<FileIo.Service["listAll"]>>()
      .toEqualTypeOf<Stream.Stream<FileDetails.FileDetails, FileIoError.FileIoError>>()
    expectTypeOf<ReturnType<FileTransfer.Service["downloadFile"]>>().toEqualTypeOf<Call<FileTransfer.DownloadedFile>>()
  })

  it("a download lives in a scope", () => {
    expectTypeOf<ReturnType<FileIo.Service["download"]>>()
      .toEqualTypeOf<Effect.Effect<FileIo.Download, FileIoError.FileIoError, Scope.Scope>>()
  })

  it("the layers need what they say", () => {
    expectTypeOf(FileIo.layer())
      .toEqualTypeOf<Layer.Layer<FileIo.FileIo, InvalidOption.InvalidOption, HttpClient.HttpClient>>()
    expectTypeOf(FileTransfer.layer)
      .toEqualTypeOf<Layer.Layer<FileTransfer.FileTransfer, never, FileIo.FileIo | FileSystem.FileSystem | Path.Path>>()
    expectTypeOf(NodeFileIo.layer())
      .toEqualTypeOf<Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption.InvalidOption>>()
    expectTypeOf(NodeFileIo.layerConfig())
      .toEqualTypeOf<
        Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption.InvalidOption | Config.ConfigError>
      >()
  })

  it("a stream that can be read once is refused by everything that repeats", () => {
    const once = FileBody.once(Stream.make(new Uint8Array(1)))
    const again = FileBody.bytes(new Uint8Array(1))
    expectTypeOf<FileIo.Service["uploadOnce"]>().toBeCallableWith(once)
    expectTypeOf<FileIo.Service["upload"]>().toBeCallableWith(again)
    expectTypeOf(once).not.toExtend<Parameters<FileIo.Service["upload"]>[0]>()
    // An update without a file may be repeated; one with a one-shot body may not.
    expectTypeOf(once).toExtend<NonNullable<FileIo.UpdateOptions["file"]>>()
  })

  it("a title belongs to an upload alone", () => {
    expectTypeOf<FileIo.UploadOptions>().toHaveProperty("title")
    expectTypeOf<FileIo.UpdateOptions>().not.toHaveProperty("title")
  })
})
