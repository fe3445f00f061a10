/**
 * Writes `schema/v1.json` out of the schemas in `src/JsonLine.ts`. A test fails while it is not current.
 */
import { writeFileSync } from "node:fs"
import { jsonSchema, path } from "../test/jsonSchema.ts"

writeFileSync(path, jsonSchema())
