/**
 * How long, in milliseconds, a connection may have been idle for a request that must not be repeated. A host may close an idle
 * connection at any time, and a request that meets that is lost without a word of whether it was read.
 */
export const REUSE_MILLIS = 25
