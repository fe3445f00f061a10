/**
 * `@effect-fileio/promise/node`: what needs Node, Bun or Deno, so that the main entry also loads in browsers.
 *
 * @since 0.1.0
 */
export * as NodeFileIo from "./NodeFileIo.ts"
