/**
 * SHA-256 by `node:crypto`.
 *
 * @since 0.1.0
 */
import * as Sha256 from "@effect-fileio/client/Sha256"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"

/**
 * SHA-256 by the system's OpenSSL.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Sha256.Sha256 = {
  make: () => {
    const hash = createHash("sha256")
    return {
      update: (bytes) => void hash.update(bytes),
      digest: () => hash.digest("hex")
    }
  }
}

/**
 * Lets downloads be checked at the speed of the machine.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(Sha256.CurrentSha256, make)
