import type { DecryptionProblem } from "@effect-fileio/core/FileIoError"
import type { NotEnoughMemory } from "../../Platform.ts"

const memoryText = (bytes: number): string =>
  bytes < 2 ** 30 ? `${Math.floor(bytes / 2 ** 20)} MiB` : `${Number((bytes / 2 ** 30).toFixed(1))} GiB`

/** Says how much memory the check of a passphrase takes. */
export const memoryProblem = (logN: number, { free }: NotEnoughMemory): string =>
  `it takes ${memoryText(2 ** (logN + 10))} of memory${
    free === undefined ? "" : `, and ${memoryText(free)} can be used`
  }`

/** Why an encrypted file cannot be decrypted. */
export class Fault {
  readonly _tag = "Fault"
  readonly problem: DecryptionProblem
  readonly detail: string | undefined
  /** Whether it was found only after all bytes had arrived. */
  readonly isAtEnd: boolean
  constructor(problem: DecryptionProblem, detail?: string, isAtEnd = false) {
    this.problem = problem
    this.detail = detail
    this.isAtEnd = isAtEnd
  }
}
