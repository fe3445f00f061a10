/**
 * When a call to S3 is repeated: as the SDK does it, but after silence only once. The first connection may have been dead
 * already, the second is a new one; after both it is the store that is silent, and its caller has waited for two time limits.
 */
import type { S3ClientConfig } from "@aws-sdk/client-s3"

const ATTEMPTS = 3
/** Attempts that may end by silence. */
export const SILENT_ATTEMPTS = 2

/** Milliseconds before the second attempt; twice as many before the third. */
const DELAY = 100

class Token {
  readonly count: number
  readonly silences: number
  constructor(count: number, silences: number) {
    this.count = count
    this.silences = silences
  }
  getRetryCount(): number {
    return this.count
  }
  getRetryDelay(): number {
    return DELAY * this.count
  }
}

/** `onSilence` is called after each attempt that ended by silence. */
export const make = (onSilence: () => void): NonNullable<S3ClientConfig["retryStrategy"]> => ({
  acquireInitialRetryToken: () => Promise.resolve(new Token(0, 0)),
  refreshRetryTokenForRetry: (token, { error, errorType }) => {
    const isSilence = error?.name === "TimeoutError"
    if (isSilence) onSilence()
    const count = token.getRetryCount() + 1
    const silences = (token instanceof Token ? token.silences : 0) + (isSilence ? 1 : 0)
    const mayHelp = errorType === "THROTTLING" || errorType === "TRANSIENT"
    return mayHelp && count < ATTEMPTS && silences < SILENT_ATTEMPTS
      ? Promise.resolve(new Token(count, silences))
      : Promise.reject(error ?? new Error("it is not repeated"))
  },
  recordSuccess: () => {}
})
