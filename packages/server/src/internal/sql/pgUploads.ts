/** The resumable uploads of the catalog in PostgreSQL. `completing` runs inside a transaction. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CatalogError, type Completion, type FileRecord, type Uploads } from "../../Catalog.ts"
import type { Prepared } from "./pgPrepare.ts"
import * as Rows from "./rows.ts"

/** The most uploads that one statement of the sweep removes. */
const SWEEP_BATCH = 200

const ended = () => new CatalogError({ cause: new Rows.UploadEnded(), reason: "ended" })

/** Deletes uploads; the bytes of incomplete ones are garbage. */
const remove = (condition: string) => `
  WITH removed AS (DELETE FROM uploads WHERE ${condition} RETURNING blob, file),
    discarded AS (
      INSERT INTO garbage (blob, after) SELECT blob, :now FROM removed WHERE file IS NULL ON CONFLICT DO NOTHING
    )
  SELECT count(*) AS removed FROM removed`

const statements = ({ prepare, relaxed }: Prepared) => ({
  create: prepare<"id" | "owner" | "request" | "blob" | "length" | "ends">(`
    INSERT INTO uploads (id, owner, request, blob, received, length, generation, ends)
    VALUES (:id, :owner, :request, :blob, 0, :length::bigint, 0, :ends) ON CONFLICT DO NOTHING`),
  get: prepare<"id">("SELECT * FROM uploads WHERE id = :id AND ends > :now"),
  begin: prepare<"id">("UPDATE uploads SET generation = generation + 1 WHERE id = :id AND ends > :now RETURNING *"),
  record: prepare<"id" | "generation" | "received" | "state" | "length" | "ends">(`
    UPDATE uploads SET received = :received, state = :state::text, length = :length::bigint, ends = :ends
    WHERE id = :id AND generation = :generation AND file IS NULL RETURNING id`),
  lock: prepare<"id">("SELECT * FROM uploads WHERE id = :id FOR UPDATE"),
  complete: prepare<"id" | "length" | "file" | "ends">(`
    UPDATE uploads SET received = 0, length = :length, state = NULL, file = :file, ends = :ends WHERE id = :id`),
  discard: prepare<"blob">("INSERT INTO garbage (blob, after) VALUES (:blob, :now) ON CONFLICT DO NOTHING"),
  remove: prepare<"id">(remove("id = :id")),
  // A later sweep repeats what a crash of the database undoes.
  end: relaxed(remove(`id IN (SELECT id FROM uploads WHERE ends <= :now LIMIT ${SWEEP_BATCH} FOR UPDATE SKIP LOCKED)`))
})

export const make = (prepared: Prepared) => {
  const sql = statements(prepared)
  const first = (rows: ReadonlyArray<Rows.Row>) => Option.map(Option.fromUndefinedOr(rows[0]), Rows.toUpload)

  const uploads: Uploads = {
    create: (upload) => Effect.asVoid(sql.create({ ...upload })),
    get: (id) => Effect.map(sql.get({ id }), first),
    begin: (id) => Effect.map(sql.begin({ id }), first),
    record: ({ generation, id }, progress) =>
      Effect.flatMap(
        sql.record({ ...progress, id, generation }),
        (rows) => rows.length > 0 ? Effect.void : Effect.fail(ended())
      ),
    remove: (id) => Effect.asVoid(sql.remove({ id }))
  }

  return {
    uploads,

    /**
     * Makes `change`, and marks the upload complete. If it is complete already, returns the stored result; fails if a newer
     * request has the upload.
     */
    completing: Effect.fnUntraced(function*<R>(
      { ends, generation, id, length }: Completion,
      change: Effect.Effect<Option.Option<FileRecord>, CatalogError, R>
    ) {
      const upload = first(yield* sql.lock({ id }))
      if (Option.isNone(upload) || upload.value.generation !== generation) return yield* ended()
      if (upload.value.file !== null) return Option.some(upload.value.file)
      const made = yield* change
      if (Option.isNone(made)) return made
      const { blob } = upload.value
      if (blob !== made.value.blob) yield* sql.discard({ blob })
      yield* sql.complete({ id, length, ends, file: JSON.stringify(made.value) })
      return made
    }),

    /** Ends expired uploads. */
    end: Effect.gen(function*() {
      while (Number((yield* sql.end({}))[0]!["removed"]) === SWEEP_BATCH) yield* Effect.yieldNow
    })
  }
}

export type PgUploads = ReturnType<typeof make>
