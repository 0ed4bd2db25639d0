/**
 * The registry of keyspaces: names, ids, encodings. One record in the system's keyspace, so that it
 * is as durable, and as atomic, as everything else. It is written whole at each change; keyspaces
 * are made and dropped rarely.
 *
 * An id is never given twice. Dropping a keyspace takes its id out of the registry, which makes all
 * its records unreachable at once; then its entries are swept out of the index. A sweep that a kill
 * cut short is finished by the next opening: whatever has counts and no name is swept.
 */
import { StoreError } from '../base/errors.js'
import { entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { recordKeyspace } from '../log/record-fields.js'
import { accountRemove } from './account.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { announceRemove } from './publish.js'
import { anyVersion, putHeld } from './put.js'
import { getText } from './read.js'
import { scheduleSync } from './sync.js'

/** The default keyspace is registered under the empty name. */
export const defaultKeyspaceName = ''
export const defaultKeyspaceId = 0
const keyspaceIdMax = 65_535
const registryKey = 'keyspaces'

export interface KeyspaceEntry {
  readonly id: number
  readonly encoding: string
  readonly keyEncoding: string
}

export interface KeyspaceRegistry {
  readonly nextId: number
  readonly keyspaces: Readonly<Record<string, KeyspaceEntry>>
}

// Names are the users': none may be taken for a property of Object.
const emptyRegistry: KeyspaceRegistry = {
  nextId: systemKeyspaceId + 1,
  keyspaces: Object.create(null),
}

export function readRegistry(engine: Engine): KeyspaceRegistry {
  engine.key.setText(registryKey)
  const text = getText(engine, systemKeyspaceId)
  if (text === undefined) return emptyRegistry
  const { nextId, keyspaces } = JSON.parse(text) as KeyspaceRegistry
  return { nextId, keyspaces: Object.assign(Object.create(null), keyspaces) }
}

function writeRegistry(engine: Engine, registry: KeyspaceRegistry): void {
  engine.key.setText(registryKey)
  const text = JSON.stringify(registry)
  const sizeBytes = Buffer.byteLength(text, 'utf8')
  if (sizeBytes > engine.inlineValueSizeBytesMax) {
    throw new StoreError('STORE_FULL', 'the names of all keyspaces together are too long')
  }
  putHeld(engine, systemKeyspaceId, text, sizeBytes, undefined, anyVersion)
  Atomics.add(engine.control.words, layout.keyspaceGenerationWord, 1)
}

/** Runs `change` with the writer's word in hand. */
function exclusively<T>(engine: Engine, change: () => T): T {
  enter(engine)
  try {
    return change()
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
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
  writeRegistry(engine, { nextId: isDefault ? registry.nextId : id + 1, keyspaces })
  return entry
}

/** Takes a name out of the registry and its entries out of the index. False where there is none. */
export function dropKeyspace(engine: Engine, name: string): boolean {
  engine.requireWritable()
  const entry = exclusively(engine, () => unregister(engine, name))
  if (entry === undefined) return false
  scheduleSync(engine)
  sweep(engine, entry.id)
  return true
}

function unregister(engine: Engine, name: string): KeyspaceEntry | undefined {
  const registry = readRegistry(engine)
  const entry = registry.keyspaces[name]
  if (entry === undefined) return undefined
  const keyspaces = Object.assign(Object.create(null), registry.keyspaces)
  delete keyspaces[name]
  writeRegistry(engine, { nextId: registry.nextId, keyspaces })
  return entry
}

/**
 * Finishes the sweeps of keyspaces that were dropped and are not swept out.
 */
export function sweepOrphans(engine: Engine): void {
  const registry = readRegistry(engine)
  const named = new Set(Object.values(registry.keyspaces).map((entry) => entry.id))
  for (let id = systemKeyspaceId + 1; id < registry.nextId; id++) {
    if (!named.has(id) && engine.counts.get(id, 0) > 0) sweep(engine, id)
  }
}

/** Buckets that are swept while others wait. */
const sweptAtOnce = 1024

/**
 * Takes every entry of a keyspace out of the index: O(keys of the store). A bucket that is split
 * meanwhile shares with one that is still to come.
 */
function sweep(engine: Engine, keyspaceId: number): void {
  const { index } = engine
  for (let home = 0; home < index.bucketCount; home += sweptAtOnce) {
    exclusively(engine, () => sweepHomes(engine, keyspaceId, home))
  }
}

function sweepHomes(engine: Engine, keyspaceId: number, first: number): void {
  const { index } = engine
  const end = Math.min(index.bucketCount, first + sweptAtOnce)
  for (let home = first; home < end; home++) {
    let words = index.wordsOf(home)
    let start = wordOf(home)
    let bucket = home
    for (;;) {
      sweepBucket(engine, { home, bucket, words, start }, keyspaceId)
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
      bucket = -link
    }
  }
}

interface BucketPlace {
  readonly home: number
  readonly bucket: number
  readonly words: Int32Array
  readonly start: number
}

function sweepBucket(engine: Engine, place: BucketPlace, keyspaceId: number): void {
  const { control, log, lookup } = engine
  const { words, start } = place
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[start + entry]
    const high = words[start + entry + 1]
    const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
    const offset = high & log.offsetMask
    if (low === 0 && high === 0) continue
    if (log.words[slot] === undefined) log.mapSlot(slot)
    if (recordKeyspace(log.words[slot], offset * 2) !== keyspaceId) continue
    lookup.home = place.home
    lookup.bucket = place.bucket
    lookup.entryIndex = start + entry
    lookup.slot = slot
    lookup.offset = offset
    lookup.recordWords = log.words[slot]
    control.begin()
    accountRemove(engine, keyspaceId)
    announceRemove(engine)
    control.commit()
    applyPending(engine)
  }
}
