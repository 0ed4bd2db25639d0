/** Text of unknown origin, for a line of a terminal. */

/** As JSON, and without the 33 control characters that JSON lets pass and a terminal obeys. */
export function quoted(value: unknown): string {
  return JSON.stringify(value).replace(
    /\p{Cc}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Quoted only where it would break the line, act on the terminal, be empty, or look quoted. */
export function textAsLine(value: unknown): string {
  const isHarmless = typeof value === 'string' && /^[^"\p{Cc}][^\p{Cc}]*$/u.test(value)
  return isHarmless ? value : quoted(value)
}
