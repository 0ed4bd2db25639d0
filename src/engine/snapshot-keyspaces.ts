/** The registry of keyspaces as a snapshot shows it. */
import { systemKeyspaceId } from '../format/record.js'
import type { Engine } from './engine.js'
import { type KeyspaceRegistry, parseRegistry, registryKey } from './keyspaces.js'
import { getBytesAt } from './snapshot.js'

export function readRegistryAt(engine: Engine, sequence: number): KeyspaceRegistry {
  engine.key.setText(registryKey)
  return parseRegistry(getBytesAt(engine, systemKeyspaceId, sequence)?.toString('utf8'))
}
