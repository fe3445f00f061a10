/**
 * The call that asks for the status of a file. It takes nothing: its path is not that of the file, so a host that does not know
 * the call cannot take it for a download.
 */
import { FileStatus } from "@effect-fileio/core/FileStatus"
import * as Effect from "effect/Effect"
import type { TokenOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import * as DeleteToken from "./deleteToken.ts"
import { ask } from "./jsonCall.ts"
import { callOf, type Client, parseLink } from "./shared.ts"

const readStatus = /* @__PURE__ */ Response.json(FileStatus)

export const make = (client: Client) =>
  Span.fn(
    "FileIo.status",
    "status",
    Effect.fnUntraced(function*(keyOrLink: string, options: TokenOptions = {}) {
      const token = yield* DeleteToken.of("status", options)
      const link = yield* parseLink("status", keyOrLink)
      const parts = DeleteToken.parts(callOf(client, "status", link), token)
      return yield* ask(
        client,
        { ...parts, method: "GET", path: `/status/${link.key}`, read: readStatus },
        (failure) => Effect.fail(DeleteToken.explained(failure, token))
      )
    })
  )
