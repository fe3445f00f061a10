import type { DecryptionProblem } from "@effect-fileio/core/FileIoError"

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
