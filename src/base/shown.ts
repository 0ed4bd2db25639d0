/** A value as it may stand in a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value)
      ? 'an array'
      : `a ${value.constructor?.name ?? 'null-prototype object'}`
  }
  return typeof value === 'function' ? 'a function' : String(value)
}
