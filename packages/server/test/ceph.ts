/**
 * A whole Ceph on the loopback, for the tests: a monitor, an object store daemon over a file, and radosgw, which speaks S3. It
 * is up after some 15 seconds and needs the packages radosgw, ceph-mon, ceph-osd and ceph-common of Debian. Where they are not
 * installed, the tests have a stand-in for S3 only, and say so.
 */
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3"
import { Effect, type Scope } from "effect"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { folderFor, freePort, onPath, running, s3, S3_CREDENTIALS } from "./engines.ts"
import { eventually } from "./support.ts"

const PROGRAMS = ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "ceph"]

export const hasCeph = PROGRAMS.every((program) => onPath(program) !== undefined)

/** Says aloud that Ceph is missing. */
export const withoutCeph = (what: string): void => {
  if (!hasCeph) {
    console.warn(`SKIPPED: ${what} over Ceph; there is no radosgw (Debian: radosgw ceph-mon ceph-osd ceph-common)`)
  }
}

/** A store that speaks S3, with an empty bucket `files`. */
export interface ObjectStore {
  readonly name: "Ceph" | "a stand-in for S3"
  readonly endpoint: string
  readonly client: S3Client
}

const clientOf = (endpoint: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new S3Client({
        endpoint,
        region: "us-east-1",
        forcePathStyle: true,
        requestChecksumCalculation: "WHEN_REQUIRED",
        credentials: {
          accessKeyId: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
          secretAccessKey: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY
        }
      })
    ),
    (client) => Effect.sync(() => client.destroy())
  )

/** One disk, one copy of everything, small pools: the tests are about its protocol, not its replication. */
const configuration = (folder: string, id: string, [v2, v1, gateway]: ReadonlyArray<number>) => `
[global]
fsid = ${id}
mon host = [v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = ${folder}/keyring
mon data = ${folder}/mon
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
osd data = ${folder}/osd
osd objectstore = bluestore
osd memory target = 939524096
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
bluestore block size = 17179869184
log to file = false
admin socket = ${folder}/$name.$pid.asok
run dir = ${folder}
crash dir = ${folder}
[client.admin]
rgw data = ${folder}
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw enable usage log = false
rgw gc obj min wait = 5
rgw gc processor period = 10
`

/** Ceph until the scope closes. */
export const ceph: Effect.Effect<ObjectStore, never, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* folderFor("ceph")
  const ports = [yield* freePort, yield* freePort, yield* freePort]
  const id = randomUUID()
  const file = Path.join(folder, "ceph.conf")
  const keyring = Path.join(folder, "keyring")
  const map = Path.join(folder, "monmap")
  Fs.writeFileSync(file, configuration(folder, id, ports))
  for (const name of ["mon", "osd"]) Fs.mkdirSync(Path.join(folder, name))

  const run = (program: string, ...args: ReadonlyArray<string>) =>
    Effect.promise(() => promisify(execFile)(program, args, { cwd: folder }))
  const daemon = (program: string, ...args: ReadonlyArray<string>) =>
    running(program, ["-c", file, "-f", ...args], { cwd: folder }, "SIGKILL")
  const admin = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]

  yield* run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
  yield* run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", ...admin)
  const address = `[v2:127.0.0.1:${ports[0]},v1:127.0.0.1:${ports[1]}]`
  yield* run("monmaptool", "--create", "--addv", "a", address, "--fsid", id, map)
  yield* run("ceph-mon", "-c", file, "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring)
  yield* daemon("ceph-mon", "-i", "a")

  const disk = randomUUID()
  const { stdout } = yield* run("ceph-authtool", "--gen-print-key")
  const secret = stdout.trim()
  const secrets = Path.join(folder, "secrets.json")
  Fs.writeFileSync(secrets, JSON.stringify({ cephx_secret: secret }))
  yield* run("ceph", "-c", file, "osd", "new", disk, "-i", secrets)
  yield* run("ceph-authtool", keyring, "--name", "osd.0", "--add-key", secret)
  yield* run("ceph-osd", "-c", file, "-i", "0", "--mkfs", "--osd-uuid", disk)
  yield* daemon("ceph-osd", "-i", "0")

  const endpoint = `http://127.0.0.1:${ports[2]}`
  yield* daemon("radosgw", "-n", "client.admin", "--keyring", keyring)
  yield* eventually("radosgw answers", () => fetch(endpoint).then(() => true, () => false), 120_000)
  yield* run(
    "radosgw-admin",
    "-c",
    file,
    "user",
    "create",
    "--uid=fileio",
    "--display-name=fileio",
    `--access-key=${S3_CREDENTIALS.AWS_ACCESS_KEY_ID}`,
    `--secret-key=${S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY}`
  )
  const client = yield* clientOf(endpoint)
  yield* Effect.promise(() => client.send(new CreateBucketCommand({ Bucket: "files" })))
  return { name: "Ceph", endpoint, client }
})

/** A stand-in, in this process. */
export const standInStore = Effect.gen(function*() {
  const { endpoint } = yield* s3
  return { name: "a stand-in for S3", endpoint, client: yield* clientOf(endpoint) } satisfies ObjectStore
})

/** Ceph if it is installed, the stand-in otherwise. */
export const objectStore: Effect.Effect<ObjectStore, never, Scope.Scope> = hasCeph ? ceph : standInStore

/** The keys of all objects in the bucket. */
export const objectsIn = async ({ client }: ObjectStore): Promise<ReadonlyArray<string>> => {
  const keys: Array<string> = []
  let ContinuationToken: string | undefined
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: "files", ...(ContinuationToken === undefined ? {} : { ContinuationToken }) })
    )
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key!))
    ContinuationToken = page.NextContinuationToken
  } while (ContinuationToken !== undefined)
  return keys
}

/** Unfinished uploads in parts; the stand-in cannot list them. */
export const unfinishedIn = async ({ client }: ObjectStore): Promise<number> => {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: "files" }))
  return Uploads.length
}
