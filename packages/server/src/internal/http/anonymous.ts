/** What callers without a key may do, in words that the page and the errors share. */
import type { Anonymous } from "../../ServerOptions.ts"

/** `undefined` if no key is needed. */
export const rules: { readonly [Name in Anonymous]: string | undefined } = {
  uploads: undefined,
  downloads: "Only holders of an API key can upload here; anybody with a link can download",
  none: "Only holders of an API key can upload and download here"
}

export const unauthorizedText = (anonymous: Anonymous): string => {
  const rule = rules[anonymous]
  return rule === undefined ? "This call needs an API key" : `This call needs an API key. ${rule}`
}

/** Whether a call that the contract allows without a key needs one here. */
export const needsKey = (anonymous: Anonymous, call: "upload" | "download"): boolean =>
  anonymous === "none" || (anonymous === "downloads" && call === "upload")
