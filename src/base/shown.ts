/** A value as it may stand in a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null) {
    if (Array.isArray(value)) return 'an array'
    const name = value.constructor?.name ?? 'object without a prototype'
    return name === 'Object' ? 'an object' : `a ${name}`
  }
  if (typeof value === 'bigint') return `${value}n`
  return typeof value === 'function' ? 'a function' : String(value)
}
