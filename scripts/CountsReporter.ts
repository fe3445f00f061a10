import type { Reporter, SerializedError, TestModule } from "vitest/node"

/**
 * Prints why each test skipped itself, and ends the run with one plain line, `N passed, N failed`. A file that could not be
 * loaded, a hook that failed and an error outside any test count as failures too: none of them may hide behind `0 failed`.
 */
export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<SerializedError>): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    for (const module of modules) {
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === "passed") passed += 1
        else if (result.state === "failed") failed += 1
        else {
          skipped += 1
          if (result.state === "skipped" && result.note !== undefined) {
            process.stdout.write(`SKIPPED: ${test.fullName}: ${result.note}\n`)
          }
        }
      }
    }
    process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`)
  }
}
