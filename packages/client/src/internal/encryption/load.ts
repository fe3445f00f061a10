/** Loads the code of encryption when a file is encrypted or decrypted, so that a page that does neither does not load it. */
import * as Effect from "effect/Effect"

export const loadEncrypt = /* @__PURE__ */ Effect.promise(() => import("./encrypt.ts"))

export const loadDecrypt = /* @__PURE__ */ Effect.promise(() => import("./decrypt.ts"))

export const loadHeader = /* @__PURE__ */ Effect.promise(() => import("./header.ts"))

export const loadNewHeader = /* @__PURE__ */ Effect.promise(() => import("./newHeader.ts"))
