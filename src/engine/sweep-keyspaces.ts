/**
 * Taking the entries of dropped keyspaces out of the indexes: whatever has counts and no name in the
 * registry. Not while a snapshot from before the drop is open: it shows the keyspace; the registry
 * remembers when that was. A sweep that a kill cut short is finished by the next to sweep, or to open.
 *
 * Keys that were deleted before the drop go, too, where they come by; sweep-tombstones.ts takes out the
 * others, unless they are remembered.
 */
import { entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId, typePut } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { recordKeyspace, recordType } from '../log/record-fields.js'
import { accountRemove } from './account.js'
import { applyPending } from './apply.js'
import { isOrderBeingBuilt } from './build-order.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'
import { readRegistry, unregisterKeyspace } from './keyspaces.js'
import { announceOrderedRemove } from './order.js'
import { announceRemove } from './publish.js'
import { takeKey } from './take-key.js'

/** Takes a name out of the registry and its entries out of the indexes. False where there is none. */
export function dropKeyspace(engine: Engine, name: string): boolean {
  if (!unregisterKeyspace(engine, name)) return false
  sweepDropped(engine)
  return true
}

/** Sweeps what no snapshot shows any more. Cheap where nothing was dropped since the last time. */
export function sweepDropped(engine: Engine): void {
  const generation = engine.control.words[layout.keyspaceGenerationWord]
  if (engine.sweptGeneration === generation) return
  const lowestPin = engine.attachments.lowestPin()
  let isLeft = false
  for (const [id, dropSequence] of unsweptIds(engine)) {
    if (dropSequence > lowestPin || !sweep(engine, id)) isLeft = true
  }
  if (!isLeft) engine.sweptGeneration = generation
}

/** Keyspaces without a name that have entries in the indexes, and the sequences of their drops. */
export function unsweptIds(engine: Engine): [id: number, dropSequence: number][] {
  const { dropped, keyspaces, nextId } = readRegistry(engine)
  const named = new Set(Object.values(keyspaces).map((entry) => entry.id))
  const found: [number, number][] = []
  for (let id = systemKeyspaceId + 1; id < nextId; id++) {
    if (!named.has(id) && engine.counts.get(id, 0) > 0) found.push([id, dropped?.[id] ?? 0])
  }
  return found
}

/** Buckets that are swept while others wait. */
const sweptAtOnce = 1024

/**
 * Takes every entry of a keyspace out of the index: O(keys of the store). A bucket that is split
 * meanwhile shares with one that is still to come. False, and not all done, beside one that builds the
 * ordered index: it would keep the keys.
 */
function sweep(engine: Engine, keyspaceId: number): boolean {
  const { index } = engine
  for (let home = 0; home < index.bucketCount; home += sweptAtOnce) {
    const isSwept = exclusively(engine, () => {
      if (isOrderBeingBuilt(engine)) return false
      sweepHomes(engine, keyspaceId, home)
      return true
    })
    if (!isSwept) return false
  }
  return true
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
    const isPut = recordType(log.words[slot], offset * 2) === typePut
    lookup.home = place.home
    lookup.bucket = place.bucket
    lookup.entryIndex = start + entry
    lookup.slot = slot
    lookup.offset = offset
    lookup.recordWords = log.words[slot]
    control.begin()
    if (isPut) accountRemove(engine, keyspaceId)
    else control.set(layout.tombstones, control.get(layout.tombstones) - 1)
    announceRemove(engine)
    takeKey(engine, log.words[slot], offset * 2)
    announceOrderedRemove(engine, keyspaceId)
    control.commit()
    applyPending(engine)
  }
}
