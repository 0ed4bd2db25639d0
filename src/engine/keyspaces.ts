/**
 * The registry of keyspaces: names, ids, encodings. One record in the system's keyspace, so that it
 * is as durable, and as atomic, as everything else. It is written whole at each change; keyspaces
 * are made and dropped rarely.
 *
 * An id is never given twice. Dropping a keyspace takes its id out of the registry, which makes all
 * its records unreachable at once; its entries leave the indexes later (sweep-keyspaces.ts).
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'
import { anyVersion, putHeld } from './put.js'
import { getText } from './read.js'
import { scheduleSync } from './sync.js'

/** The default keyspace is registered under the empty name. */
export const defaultKeyspaceName = ''
export const defaultKeyspaceId = 0
const keyspaceIdMax = 65_535
export const registryKey = 'keyspaces'

export interface KeyspaceEntry {
  readonly id: number
  readonly encoding: string
  readonly keyEncoding: string
}

export interface KeyspaceRegistry {
  readonly nextId: number
  readonly keyspaces: Readonly<Record<string, KeyspaceEntry>>
  /** Ids of keyspaces that were dropped and are not swept out yet, with the sequence of the drop. */
  readonly dropped?: Readonly<Record<number, number>>
  /** What values of the encoding `'msgpack-shared'` refer to (structures.ts). */
  readonly structures?: readonly (readonly string[])[]
}

// Names are the users': none may be taken for a property of Object.
const emptyRegistry: KeyspaceRegistry = {
  nextId: systemKeyspaceId + 1,
  keyspaces: Object.create(null),
}

export function readRegistry(engine: Engine): KeyspaceRegistry {
  engine.key.setText(registryKey)
  const text = getText(engine, systemKeyspaceId)
  return parseRegistry(text)
}

export function parseRegistry(text: string | undefined): KeyspaceRegistry {
  if (text === undefined) return emptyRegistry
  const registry = JSON.parse(text) as KeyspaceRegistry
  return { ...registry, keyspaces: Object.assign(Object.create(null), registry.keyspaces) }
}

/** With the writer's word in hand. */
export function writeRegistry(engine: Engine, registry: KeyspaceRegistry): void {
  engine.key.setText(registryKey)
  const text = JSON.stringify(registry)
  const sizeBytes = Buffer.byteLength(text, 'utf8')
  if (sizeBytes > engine.inlineValueSizeBytesMax) {
    throw new StoreError(
      'STORE_FULL',
      'the names of all keyspaces and structures together are too long',
    )
  }
  putHeld(engine, systemKeyspaceId, text, sizeBytes, undefined, anyVersion, noExpiry)
  Atomics.add(engine.control.words, layout.keyspaceGenerationWord, 1)
}

/**
 * Registers a name, or the default keyspace's encodings. Returns what is registered: another thread
 * may have been first, with encodings of its own.
 */
export function createKeyspace(engine: Engine, name: string, encodings: Encodings): KeyspaceEntry {
  engine.requireWritable()
  const entry = exclusively(engine, () => createHeld(engine, name, encodings))
  scheduleSync(engine)
  return entry
}

interface Encodings {
  readonly encoding: string
  readonly keyEncoding: string
}

function createHeld(engine: Engine, name: string, encodings: Encodings): KeyspaceEntry {
  const registry = readRegistry(engine)
  const existing = registry.keyspaces[name]
  if (existing !== undefined) return existing
  const isDefault = name === defaultKeyspaceName
  const id = isDefault ? defaultKeyspaceId : registry.nextId
  if (id > keyspaceIdMax) {
    throw new StoreError(
      'STORE_FULL',
      `the store has made ${keyspaceIdMax} keyspaces, the most it can`,
    )
  }
  engine.counts.region.reserve(id + 1)
  const entry: KeyspaceEntry = { id, ...encodings }
  const keyspaces = Object.assign(Object.create(null), registry.keyspaces, { [name]: entry })
  const nextId = isDefault ? registry.nextId : id + 1
  const { dropped: _, ...kept } = registry
  writeRegistry(engine, { ...kept, nextId, keyspaces, ...stillDropped(engine, registry) })
  return entry
}

/** Takes a name out of the registry. False where there is none. */
export function unregisterKeyspace(engine: Engine, name: string): boolean {
  engine.requireWritable()
  const isDone = exclusively(engine, () => unregisterHeld(engine, name))
  if (isDone) scheduleSync(engine)
  return isDone
}

function unregisterHeld(engine: Engine, name: string): boolean {
  const registry = readRegistry(engine)
  const entry = registry.keyspaces[name]
  if (entry === undefined) return false
  const keyspaces = Object.assign(Object.create(null), registry.keyspaces)
  delete keyspaces[name]
  const { dropped: _, ...kept } = registry
  const { dropped } = stillDropped(engine, registry)
  // Where nobody's snapshot shows it, it is swept at once and need not be remembered.
  const isShown = engine.attachments.lowestPin() !== Number.POSITIVE_INFINITY
  const sequence = engine.control.get(layout.sequence) + 1
  const all = isShown ? { ...dropped, [entry.id]: sequence } : dropped
  writeRegistry(engine, {
    ...kept,
    keyspaces,
    ...(all === undefined ? {} : { dropped: all }),
  })
  return true
}

/** Those of the registry's dropped keyspaces that are not swept out yet. */
function stillDropped(
  engine: Engine,
  { dropped }: KeyspaceRegistry,
): Pick<KeyspaceRegistry, 'dropped'> {
  if (dropped === undefined) return {}
  const left = Object.entries(dropped).filter(([id]) => engine.counts.get(Number(id), 0) > 0)
  return left.length === 0 ? {} : { dropped: Object.fromEntries(left) }
}
