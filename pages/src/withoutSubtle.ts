/**
 * Without https, browsers have no `crypto.subtle`. The library of age has X25519 in JavaScript too, and uses it where the browser says
 * that it does not support it; without the object it would fail instead.
 */
const unsupported = () => Promise.reject(new DOMException("this page has no https", "NotSupportedError"))

/** Lets the library of age know that there is none; call it before the first file. */
export const prepareCryptography = (): void => {
  if (!("subtle" in crypto)) {
    Reflect.defineProperty(crypto, "subtle", { value: { importKey: unsupported, deriveBits: unsupported } })
  }
}
