/**
 * Uploads real files over real HTTP; each link works a set number of times, and then the file is gone.
 *
 * Without FILEIO_BASE_URL it starts the embedded server on a free port with an empty data folder. With FILEIO_BASE_URL and
 * FILEIO_API_KEY it uses that host.
 */
import { FileBody, FileIo, FileTransfer, type Progress } from "@effect-fileio/client"
import type { FileDetails } from "@effect-fileio/core"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, DateTime, Effect, FileSystem, Path, Stream } from "effect"
import { randomFile, sha256 } from "./internal/files.ts"
import { Host } from "./internal/Host.ts"

const MIB = 1024 * 1024

const step = (title: string) => Console.log(`\n${title}`)
const say = (label: string, value: unknown) => Console.log(`  ${label.padEnd(12)} ${String(value)}`)

const show = (file: FileDetails.FileDetails) =>
  Effect.gen(function*() {
    yield* say("link", file.link)
    yield* say("name", file.name)
    yield* say("size", `${file.size?.toLocaleString("en-US")} bytes`)
    yield* say("expires", file.expires == null ? "never" : DateTime.formatIso(file.expires))
    yield* say("downloads", `${file.downloads} taken, ${file.downloadsLeft} left`)
  })

/** A bar that redraws itself on a terminal; elsewhere, a line a quarter. */
const bar = (label: string): Progress.Listener => {
  let quarter = 0
  return ({ _tag, bytes, bytesPerSecond, total }) =>
    Effect.sync(() => {
      const share = total === undefined ? 0 : bytes / total
      const filled = Math.round(share * 24)
      const line = `  ${label.padEnd(12)} [${"#".repeat(filled)}${".".repeat(24 - filled)}] ${
        String(Math.floor(share * 100)).padStart(3)
      } %  ${(bytes / MIB).toFixed(0)} MiB, ${(bytesPerSecond / MIB).toFixed(0)} MiB/s`
      if (process.stdout.isTTY) process.stdout.write(`\r${line}${_tag === "Finished" ? "\n" : ""}`)
      else if (_tag === "Finished" || Math.floor(share * 4) > quarter) {
        quarter = Math.floor(share * 4)
        process.stdout.write(`${line}\n`)
      }
    })
}

const program = Effect.gen(function*() {
  const host = yield* Host
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const readme = path.join(import.meta.dirname, "..", "README.md")

  yield* Console.log(`One-time file sharing with ${host.description}`)
  const workspace = yield* fs.makeTempDirectoryScoped({ prefix: "fileio-quickstart-" })
  const inbox = path.join(workspace, "inbox")
  yield* fs.makeDirectory(inbox)

  yield* step("Upload README.md: it may be taken twice within a day")
  const small = yield* transfer.uploadFile(readme, { expires: "1d", maxDownloads: 2, title: "The README" })
  yield* Effect.addFinalizer(() => Effect.ignore(fileIo.delete(small.key)))
  yield* show(small)

  yield* step("Upload 64 MiB: it may be taken once, as is the default")
  const bigPath = path.join(workspace, "holiday pictures.tar")
  yield* randomFile(bigPath, 64 * MIB)
  const big = yield* transfer.uploadFile(bigPath, { onProgress: bar("sending") })
  yield* Effect.addFinalizer(() => Effect.ignore(fileIo.delete(big.key)))
  yield* show(big)

  yield* step("List: the account's files")
  yield* Stream.runForEach(
    fileIo.listAll({ sort: "name" }),
    (file) => say(file.key, `${file.name}, ${file.downloadsLeft} left`)
  )

  yield* step("Me: the plan")
  const me = yield* fileIo.me
  yield* say("plan", me.planId)
  yield* say(
    "storage",
    `${me.usedStorageBytes?.toLocaleString("en-US")} of ${me.maxStorageBytes?.toLocaleString("en-US")} bytes used`
  )
  yield* say("rate limit", me.rateLimit == null ? "not reported" : `${me.rateLimit} calls a second`)

  yield* step("Update: README.md may be taken five times; the rest stays as it is")
  const updated = yield* fileIo.update(small.key, { maxDownloads: 5 })
  yield* show(updated)

  yield* step("Replace: new content, expiry in ten minutes; the rest goes back to the defaults")
  const replaced = yield* fileIo.replace(small.key, {
    file: FileBody.text("The README moved.\n", { name: "README.txt" }),
    expires: "10m"
  })
  yield* show(replaced)

  yield* step("Download: 64 MiB into a folder, under their original name")
  const taken = yield* transfer.downloadFile(big.link, { directory: inbox }, { onProgress: bar("receiving") })
  yield* say("saved as", taken.name)
  const [sent, received] = yield* Effect.all([sha256(bigPath), sha256(taken.path)])
  if (sent !== received) return yield* Effect.die(new Error("The file that came back is not the one that was sent"))
  yield* say("SHA-256", `${received.slice(0, 16)}… is the one that was sent`)
  const text = yield* fileIo.downloadBytes(replaced.key)
  yield* say(text.name, JSON.stringify(new TextDecoder().decode(text.bytes)))

  yield* step("Download once more: the link has been used up")
  const again = yield* Effect.flip(transfer.downloadFile(big.link, { directory: inbox }))
  if (again.reason._tag !== "FileNotFound") return yield* again
  yield* say(again.reason._tag, again.reason.message)

  yield* step("Delete: a file that nobody is to have any more")
  const regretted = yield* fileIo.upload(FileBody.text("never mind"))
  yield* fileIo.delete(regretted.key)
  const deleted = yield* Effect.flip(fileIo.delete(regretted.key))
  yield* say(deleted.reason._tag, "deleted, and a second deletion says so")

  yield* Console.log("\nDone. Nothing is left behind.")
})

program.pipe(
  Effect.scoped,
  Effect.provide([Host.layerClient, NodeServices.layer]),
  NodeRuntime.runMain
)
