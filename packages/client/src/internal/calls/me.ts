/** The call that reads the account and its plan. */
import * as Account from "@effect-fileio/core/Account"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import { ask } from "./jsonCall.ts"
import { callOf, type Client, requireKey } from "./shared.ts"

const readAccount = /* @__PURE__ */ Response.json(Account.AccountFromWire)

/** `onAccount` is called with every account that is read, also when the rate limiter requested it. */
export const make = (
  client: Client,
  onAccount: (account: Account.Account) => Effect.Effect<void>
): Effect.Effect<Account.Account, FileIoError.FileIoError> =>
  Effect.suspend(Span.fn("FileIo.me", "me", () =>
    Effect.andThen(
      requireKey(client, "me"),
      Effect.tap(
        ask(client, { call: callOf(client, "me"), method: "GET", path: "/me", read: readAccount }),
        (account) => Effect.andThen(client.limiter.learnedFrom(account), onAccount(account))
      )
    )))
