/** In place of the client's series of metrics: nobody can read those of a page. */
const series = () => ({ updateUnsafe: () => undefined })

export const requests = series
export const retries = series
export const bytes = series
export const pauses = series
export const remaining = series
