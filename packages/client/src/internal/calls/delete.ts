/** The call that deletes a file. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import { ask } from "./json.ts"
import { callOf, type Client, parseLink, requireKey } from "./shared.ts"

const readNothing = Response.json(Schema.Unknown, "accept")

export const make = (client: Client) =>
  Span.fn(
    "FileIo.delete",
    "delete",
    Effect.fnUntraced(function*(keyOrLink: string) {
      yield* requireKey(client, "delete")
      const link = yield* parseLink("delete", keyOrLink)
      yield* ask<unknown>(
        client,
        { call: callOf(client, "delete", link), method: "DELETE", path: `/${link.key}`, read: readNothing },
        (failure, before) =>
          // If a repeated deletion finds no file, the attempt before it deleted the file.
          failure.reason._tag === "FileNotFound" && before !== undefined && before.stage !== "limited" &&
            before.stage !== "unsent"
            ? Effect.void
            : Effect.fail(failure)
      )
    })
  )
