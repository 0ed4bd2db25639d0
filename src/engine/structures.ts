/**
 * The structures that values of the encoding `'msgpack-shared'` refer to: lists of names of fields, by
 * their place. They stand in the registry of keyspaces (keyspaces.ts), for the whole store; none is ever
 * changed or taken away, also when a keyspace is dropped.
 */
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { readRegistry, writeRegistry } from './keyspaces.js'
import { scheduleSync } from './sync.js'

export type Structures = readonly (readonly string[])[]

export function readStructures(engine: Engine): Structures {
  return readRegistry(engine).structures ?? []
}

/**
 * Writes `structures`, the ones there are with more behind them. False, and nothing written, where
 * `isCompatible` says of those there are that somebody else added some meanwhile.
 *
 * A value may be encoded with the writer's word in hand, within an update or a transaction. The
 * structure then comes before that, and remains where the function throws; it harms nobody.
 */
export function addStructures(
  engine: Engine,
  structures: Structures,
  isCompatible: (there: Structures) => boolean,
): boolean {
  engine.requireWritable()
  const isHeld = engine.callbackOf !== ''
  if (!isHeld) enter(engine)
  try {
    const registry = readRegistry(engine)
    if (!isCompatible(registry.structures ?? [])) return false
    writeRegistry(engine, { ...registry, structures })
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    if (!isHeld) leave(engine)
  }
  scheduleSync(engine)
  return true
}
