import type * as ClientFileBody from "@effect-fileio/client/FileBody"
import * as Stream from "effect/Stream"

/** Web streams that are not iterable, as in some browsers, are read with their readers. */
export const toStream = (content: unknown): Stream.Stream<ClientFileBody.Chunk, unknown> | undefined => {
  if (typeof content !== "object" || content === null) return undefined
  if (Symbol.asyncIterator in content) {
    return Stream.fromAsyncIterable(content as AsyncIterable<ClientFileBody.Chunk>, (cause) => cause)
  }
  return "getReader" in content
    ? Stream.fromReadableStream({
      evaluate: () => content as ReadableStream<ClientFileBody.Chunk>,
      onError: (cause) => cause
    })
    : undefined
}
