import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Settings from "../src/internal/settings.ts"
import * as Stdio from "../src/internal/stdio.ts"

const ofProcess = Stdio.make()

/** The configuration file and the folder of notes, as on another platform. */
const foldersOn = (platform: string, home: string, env: Readonly<Record<string, string>>) =>
  Effect.all([Settings.filePath, Settings.notesFolder]).pipe(
    Effect.provide(platform === "win32" ? NodePath.layerWin32 : NodePath.layerPosix),
    Effect.provideService(Stdio.Stdio, { ...ofProcess, env, home, platform })
  )

describe("the folders of the command line", () => {
  const windows = "C:\\Users\\ann"
  const roaming = "C:\\Users\\ann\\AppData\\Roaming\\fileio"
  const cases = [
    ["win32", windows, {}, `${roaming}\\config.json`, `${roaming}\\state`],
    ["win32", windows, { APPDATA: "" }, `${roaming}\\config.json`, `${roaming}\\state`],
    ["win32", windows, { APPDATA: "D:\\Data" }, "D:\\Data\\fileio\\config.json", "D:\\Data\\fileio\\state"],
    ["win32", windows, { FILEIO_CONFIG: "E:\\f.json" }, "E:\\f.json", `${roaming}\\state`],
    [
      "darwin",
      "/Users/ann",
      {},
      "/Users/ann/Library/Application Support/fileio/config.json",
      "/Users/ann/Library/Application Support/fileio/state"
    ],
    ["linux", "/home/ann", {}, "/home/ann/.config/fileio/config.json", "/home/ann/.local/state/fileio"],
    [
      "linux",
      "/home/ann",
      { XDG_CONFIG_HOME: "here" },
      "/home/ann/.config/fileio/config.json",
      "/home/ann/.local/state/fileio"
    ],
    ["linux", "/home/ann", { XDG_CONFIG_HOME: "/c", XDG_STATE_HOME: "/s" }, "/c/fileio/config.json", "/s/fileio"]
  ] as const

  for (const [platform, home, env, file, notes] of cases) {
    it.effect(`on ${platform} with ${JSON.stringify(env)}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* foldersOn(platform, home, env), [file, notes])
      }))
  }
})
