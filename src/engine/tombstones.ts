/** Tombstones in the indexes: how long they stay there when no snapshot needs them (remember.ts), and their count. */
import * as layout from '../format/control-layout.js'
import type { Engine } from './engine.js'

const forEver = Number.POSITIVE_INFINITY

/** How long a delete is remembered, in milliseconds. */
export function rememberMs({ control }: Engine): number {
  const asked = control.doubles[layout.rememberDouble]
  if (asked !== 0) return asked - 1
  return control.words[layout.appliedWord] === 0 ? 0 : forEver
}

/** True where a tombstone of this time is still needed. */
export function isRemembered(engine: Engine, timestampMs: number): boolean {
  const ms = rememberMs(engine)
  return ms !== 0 && timestampMs + ms > engine.platform.nowMs()
}

/** One more tombstone in the index, at `address`; between `begin` and `commit`. */
export function countTombstone({ control }: Engine, address: number): void {
  const { doubles, next } = control
  const from = doubles[next + layout.tombstonesFrom]
  if (doubles[next + layout.tombstones] === 0 || address < from) {
    doubles[next + layout.tombstonesFrom] = address
  }
  doubles[next + layout.tombstones] += 1
}
