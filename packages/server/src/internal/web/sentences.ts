/** Sentences, one after the other; in Chinese without a space between them. For the pages of the server and their scripts. */
export const sentences = (...texts: ReadonlyArray<string>): string => texts.join(" ").replaceAll("。 ", "。")
