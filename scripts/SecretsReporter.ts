import type { Reporter, Vitest } from "vitest/node"

type UserConsoleLog = Parameters<NonNullable<Reporter["onUserConsoleLog"]>>[0]

const SECRET = /AGE-SECRET-KEY-[A-Z0-9-]{20,}/i

/** Fails the run if any test logs the secret of an encrypted file, wherever in the libraries that comes from. */
export default class SecretsReporter implements Reporter {
  readonly #tests = new Set<string>()
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onUserConsoleLog({ content, taskId }: UserConsoleLog): void {
    if (!SECRET.test(content)) return
    const task = this.#vitest?.state.idMap.get(taskId ?? "")
    this.#tests.add(task === undefined ? "a file" : `${task.file.name} > ${task.name}`)
  }

  onTestRunEnd(): void {
    for (const test of this.#tests) process.stdout.write(`${test}: logged the secret of an encrypted file\n`)
    if (this.#tests.size > 0) process.exitCode = 1
  }
}
