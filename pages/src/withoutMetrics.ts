/** In place of Effect's metrics: nobody can read those of a page. */
import * as Effect from "effect/Effect"

const metric = () => ({ updateUnsafe: () => undefined })

export const counter = metric
export const gauge = metric
export const histogram = metric
export const update = () => Effect.void
