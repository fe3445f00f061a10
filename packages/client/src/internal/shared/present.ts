/** Omits a field whose value is `undefined`. */
export const present = <K extends string, A>(name: K, value: A | null | undefined): { readonly [P in K]?: A } =>
  (value === undefined || value === null ? {} : { [name]: value }) as { readonly [P in K]?: A }
