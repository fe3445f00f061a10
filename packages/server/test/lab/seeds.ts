/** Seeds that failed once, with what was found. The long form of the lab runs them first. */
export const FAILED_SEEDS: ReadonlyArray<{ readonly seed: number; readonly found: string }> = [
  { seed: 101, found: "new content without its bytes: PostgreSQL committed a transaction after its deadline" }
]
