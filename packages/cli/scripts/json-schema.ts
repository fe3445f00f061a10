/**
 * Writes `schema/v1.json` from the schemas in `src/JsonLine.ts`. A test fails while it is out of date.
 */
import { writeFileSync } from "node:fs"
import { jsonSchema, path } from "../test/jsonSchema.ts"

writeFileSync(path, jsonSchema())
