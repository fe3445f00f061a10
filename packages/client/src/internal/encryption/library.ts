/** The header of an age file for keys other than X25519, such as post-quantum ones, with the `age-encryption` library. */
import { Decrypter, Encrypter } from "age-encryption"
import { Fault } from "./fault.ts"
import type { Made } from "./newHeader.ts"

/** Makes the header of a file that each of the recipients can decrypt. */
export const forRecipients = async (recipients: ReadonlyArray<string>): Promise<Made> => {
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  let fileKey: Uint8Array | undefined
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice()
      return []
    }
  })
  // The header of an empty file, behind which are the nonce and the tag of its payload.
  const whole = await encrypter.encrypt(new Uint8Array(0))
  return { header: whole.slice(0, whole.length - 32), fileKey: fileKey! }
}

/** The file's key in a header; `undefined`: the secret key does not open it. */
export const openHeader = async (header: Uint8Array, identity: string): Promise<Uint8Array | Fault | undefined> => {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  try {
    return await decrypter.decryptHeader(header)
  } catch (error) {
    const message = error instanceof Error ? error.message : ""
    if (message.startsWith("no identity matched")) return undefined
    if (message.startsWith("invalid header HMAC")) return new Fault("changed", "in its header")
    throw error
  }
}
