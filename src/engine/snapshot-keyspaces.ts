/** The registry of keyspaces as a snapshot shows it. */
import { systemKeyspaceId } from '../format/record.js'
import type { Engine } from './engine.js'
import { type KeyspaceRegistry, parseRegistry, registryKey } from './keyspaces.js'
import { getBytesAt, type Moment } from './snapshot.js'

export function readRegistryAt(engine: Engine, moment: Moment): KeyspaceRegistry {
  engine.key.setText(registryKey)
  return parseRegistry(getBytesAt(engine, systemKeyspaceId, moment)?.toString('utf8'))
}
