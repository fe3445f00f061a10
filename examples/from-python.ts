/** Translates the Python package `fileio_wrapper` line by line: its line as a comment, and ours below. */
import { FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { Console, Duration, Effect, FileSystem } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const tt = yield* fs.makeTempDirectoryScoped({ prefix: "fileio-example-" })
  yield* fs.writeFileString(`${tt}/a.txt`, "Hello")
  yield* fs.writeFileString(`${tt}/b.txt`, "Hello again")

  // fileio = Fileio('XXXXXXX.XXXXXXX-XXXXXXX-XXXXXXX-XXXXXXX')
  // Here the key is read from FILEIO_API_KEY, by NodeFileIo.layerConfig().
  const fileio = yield* FileIo.FileIo
  const files = yield* FileTransfer.FileTransfer

  // resp = fileio.upload('a.txt')
  const once = yield* files.uploadFile(`${tt}/a.txt`)

  // resp = fileio.upload('a.txt', '5m')
  yield* files.uploadFile(`${tt}/a.txt`, { expires: "5m" })

  // resp = fileio.upload('a.txt', datetime.now() + timedelta(seconds=300))
  yield* files.uploadFile(`${tt}/a.txt`, { expires: new Date(Date.now() + 300_000) })

  // resp = fileio.upload('a.txt', timedelta(seconds=300), max_downloads=5, auto_delete=False)
  const kept = yield* files.uploadFile(`${tt}/a.txt`, {
    expires: Duration.seconds(300),
    maxDownloads: 5,
    autoDelete: false
  })
  yield* Console.log("upload  ", kept.name, kept.downloadsLeft)

  // resp['nodes'] == fileio.list(search='txt', sort='expires', offset=0, limit=5)['nodes']
  const { files: nodes } = yield* fileio.list({ search: "txt", sort: "expires", offset: 0, limit: 5 })
  yield* Console.log("list    ", nodes.length)

  // fileio.me()['rateLimit']
  yield* Console.log("me      ", (yield* fileio.me).rateLimit)

  // fileio.download(key)['content']
  const { bytes } = yield* fileio.downloadBytes(kept.key)
  yield* Console.log("download", new TextDecoder().decode(bytes))

  // fileio.download(key, 'tt')             (a folder)
  yield* files.downloadFile(kept.key, { directory: tt })

  // fileio.download(key, 'tt/bbb.dd')      (a path; an existing file fails here, and is overwritten there)
  const saved = yield* files.downloadFile(kept.key, { path: `${tt}/bbb.dd` }, { onCollision: "overwrite" })
  yield* Console.log("download", saved.name, saved.bytes)

  // fileio.update(key, file='b.txt', expires='20m', max_downloads=1, mode='replace_all')
  const b = yield* FileBody.file(`${tt}/b.txt`)
  yield* fileio.replace(kept.key, { file: b, expires: "20m", maxDownloads: 1 })

  // fileio.update(key, expires=timedelta(seconds=60000), mode='replace_partial')
  const updated = yield* fileio.update(kept.key, { expires: Duration.seconds(60_000) })
  yield* Console.log("update  ", updated.name, updated.downloadsLeft)

  // resp = fileio.delete(key);  resp['success'] is False for one that is not there
  yield* fileio.delete(kept.key)
  const error = yield* Effect.flip(fileio.delete(kept.key))
  yield* Console.log("delete  ", error.reason._tag)

  // Fileio.download(key)                   (without a key: a layer without apiKey)
  yield* fileio.downloadBytes(once.key)
}))
