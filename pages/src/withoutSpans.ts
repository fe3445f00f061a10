/** In place of the client's spans: nobody can read those of a page. */
export const fn = <A>(_name: string, _operation: string, body: A): A => body
export const annotate = () => undefined
