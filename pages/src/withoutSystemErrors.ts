/** In place of the client's list of errors of sockets and TLS: a browser says only that a request failed. */
export const find = () => undefined
export const codeOf = () => undefined
export const isUnsent = () => false
export const withoutPacket = (error: unknown): unknown => error
