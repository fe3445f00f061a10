/** The catalog was changed by a newer server, which this one does not understand. */
export class NewerSchema extends Error {
  constructor(found: number, known: number) {
    super(`a newer server has changed it (schema ${found}, known ${known}); start that one`)
  }
}
