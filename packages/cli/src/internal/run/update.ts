import { change } from "../change.ts"

export const run = change("update")
