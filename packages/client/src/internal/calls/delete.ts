/** The call that deletes a file: with the account's key, or with the deletion token of its upload. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { TokenOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import * as DeleteToken from "./deleteToken.ts"
import { ask } from "./jsonCall.ts"
import { callOf, type Client, parseLink, requireKey } from "./shared.ts"

const readNothing = /* @__PURE__ */ Response.json(Schema.Unknown, "accept")

export const make = (client: Client) =>
  Span.fn(
    "FileIo.delete",
    "delete",
    Effect.fnUntraced(function*(keyOrLink: string, options: TokenOptions = {}) {
      const token = yield* DeleteToken.of("delete", options)
      if (token === undefined) yield* requireKey(client, "delete")
      const link = yield* parseLink("delete", keyOrLink)
      const parts = DeleteToken.parts(callOf(client, "delete", link), token)
      yield* ask<unknown>(
        client,
        { ...parts, method: "DELETE", path: `/${link.key}`, read: readNothing },
        (failure, isAfterEffect) =>
          // If a repeated deletion finds no file, an attempt before it deleted the file.
          failure.reason._tag === "FileNotFound" && isAfterEffect
            ? Effect.void
            : Effect.fail(DeleteToken.explained(failure, token))
      )
    })
  )
