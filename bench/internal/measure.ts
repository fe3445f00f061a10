import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"

/** One run of a contender. */
export interface Figures {
  /** Seconds of the work alone, as the contender reports them: without the start of its process. */
  readonly wallS: number
  /** Seconds of processor time of the whole process; `null` if the system does not report it. */
  readonly cpuS: number | null
  /** Peak resident memory of the whole process; `null` if the system does not report it. */
  readonly peakMiB: number | null
  /** Further results of the contender. */
  readonly said: Readonly<Record<string, unknown>>
}

const CLOCK_TICKS = 100

const look = (pid: number): { readonly cpuS: number; readonly peakMiB: number } | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
    if (peak === null) return undefined
    return { cpuS: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS, peakMiB: Number(peak[1]) / 1024 }
  } catch {
    return undefined
  }
}

/**
 * Runs a command to its end. Its last line of output is JSON with `wallS`. Memory and processor time are read from the system
 * every few milliseconds, so that a contender in any language is measured the same way.
 */
export const run = (command: string, args: ReadonlyArray<string>): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] })
    let stdout = ""
    let last: ReturnType<typeof look>
    const timer = setInterval(() => {
      last = look(child.pid!) ?? last
    }, 5)
    child.stdout.on("data", (chunk) => stdout += chunk)
    child.on("error", (error) => {
      clearInterval(timer)
      reject(error)
    })
    child.on("close", (code) => {
      clearInterval(timer)
      if (code !== 0) return reject(new Error(`${command} ${args.join(" ")} ended with ${code}`))
      const { wallS, ...said } = JSON.parse(stdout.trim().split("\n").at(-1)!)
      resolve({ wallS, cpuS: last?.cpuS ?? null, peakMiB: last?.peakMiB ?? null, said })
    })
  })

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const round = (value: number | null): number | null => value === null ? null : Math.round(value * 1000) / 1000

/** A contender by name. */
export interface Contender {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Inspects a finished run, and adds further results, such as what its host used. */
  readonly after?: (said: Readonly<Record<string, unknown>>) => Promise<Readonly<Record<string, unknown>>>
}

/**
 * Runs the contenders in turn, over and over, so that a machine whose speed drifts is the same for all. Prints one line per
 * run, and one with the ratios to each base: the median over the rounds of a contender's time by that of `base` in the same
 * round.
 */
export const compare = async (
  bench: string,
  facts: Readonly<Record<string, unknown>>,
  contenders: ReadonlyArray<Contender>,
  base: string | ReadonlyArray<string>,
  rounds: number,
  /** Resets the conditions before every run. */
  before: () => Promise<void> = async () => {}
): Promise<void> => {
  const times = new Map<string, Array<number>>(contenders.map(({ name }) => [name, []]))
  for (let round_ = 0; round_ < rounds; round_++) {
    for (const { after, args, command, name } of contenders) {
      await before()
      const { cpuS, peakMiB, said, wallS } = await run(command, args)
      times.get(name)!.push(wallS)
      console.log(JSON.stringify({
        bench,
        ...facts,
        contender: name,
        round: round_,
        wallS: round(wallS),
        cpuS: round(cpuS),
        peakMiB: round(peakMiB),
        ...said,
        ...await after?.(said)
      }))
    }
  }
  for (const one of [base].flat()) {
    const ratios = Object.fromEntries(
      contenders.map(({ name }) => [
        name,
        round(median(times.get(name)!.map((wallS, i) => wallS / times.get(one)![i]!)))!
      ])
    )
    console.log(JSON.stringify({ bench, ...facts, rounds, base: one, ratios }))
  }
}
