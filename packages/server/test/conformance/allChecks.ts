/** All checks of the suite: those of the contract, and those of its extensions. */
import { type Check, checks } from "./checks.ts"
import { connectionChecks } from "./connectionChecks.ts"
import { resumableChecks } from "./resumableChecks.ts"

export const allChecks: ReadonlyArray<Check> = [...checks, ...connectionChecks, ...resumableChecks]
