/** Checks for bugs only: a wrong byte on disk is `STORE_CORRUPT`, a wrong argument a `TypeError`. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`varve: internal invariant broken: ${what}`)
}

export function assertNever(value: never): never {
  throw new Error(`varve: internal invariant broken: unexpected ${String(value)}`)
}
