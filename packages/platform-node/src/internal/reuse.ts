/**
 * How long, in milliseconds, a connection may have been idle for a request that must not be repeated. A host may close
 * an idle connection at any time, and it is then unknown whether it read the request.
 */
export const REUSE_MILLIS = 25
