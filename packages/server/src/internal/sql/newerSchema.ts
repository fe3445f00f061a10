/** A newer server has changed the catalog, and this one cannot read it. */
export class NewerSchema extends Error {
  constructor(found: number, known: number) {
    super(`a newer server has changed it (schema ${found}, known ${known}); start that one`)
  }
}
