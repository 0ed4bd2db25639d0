/**
 * scan: the live records of a keyspace in the order of the log, forwards or backwards, as a snapshot
 * shows them.
 *
 * The segments are walked in the order of their numbers, up to the read-only boundary, below which no
 * byte changes, and every record is verified before it is believed. A record is live if it is what
 * the snapshot has for its key, so whatever stands behind the end of a segment's records is passed
 * over: only the count of records says whether all were found. The log is held meanwhile (hold.ts): a
 * record that compaction moved would be met in two places, or in none.
 */
import { corrupt, StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { sequenceDouble, typeMarker, typePut } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { recordKeyspace, recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { SegmentScan } from '../log/segment-scan.js'
import { kindLog, slotEpoch, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import { unwatchPin, watchPin } from './abandoned.js'
import type { Engine } from './engine.js'
import type { RecordFacts } from './get-entry.js'
import { holdLog } from './hold.js'
import { hashKey } from './probe.js'
import {
  beforeAllTime,
  closeSnapshot,
  findHashedAt,
  foundRecord,
  openSnapshot,
  requireShown,
  snapshotTime,
} from './snapshot.js'
import { takeKey } from './take-key.js'
import { expiryFound, isExpiredAt } from './time.js'

export class LogReader {
  readonly #engine: Engine
  readonly #keyspaceId: number
  readonly #sequence: number
  readonly #timeMs: number
  readonly #release: () => void
  /** Of compaction, for one that may not hold it off. */
  readonly #moved: number
  readonly #offsets: Generator<Place>
  #isOpen = true
  /** Live records that were not met yet. */
  #missing = 0

  constructor(engine: Engine, keyspaceId: number, isReverse: boolean) {
    engine.requireOpen()
    const { counts } = engine
    this.#engine = engine
    this.#keyspaceId = keyspaceId
    this.#moved = engine.control.read(layout.movedRecords)
    this.#release = holdLog(engine)
    this.#sequence = openSnapshot(engine, () => {
      this.#missing = counts.get(keyspaceId, 0)
    })
    this.#timeMs = snapshotTime(engine)
    watchPin(this, engine, this.#sequence, undefined, this.#release)
    this.#offsets = placesInLog(engine, isReverse)
  }

  /**
   * Goes to the next live record, whose key is the key at hand then. False, and closed, at the end;
   * closed, too, where it throws.
   */
  advance(): boolean {
    if (!this.#isOpen) return false
    try {
      const isFound = this.#isNextFound()
      if (!isFound) this.close()
      return isFound
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** What there is of the record; before anything else is read. */
  record(): RecordFacts {
    const record = foundRecord(this.#engine)
    requireShown(this.#engine, this.#sequence)
    return record
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#release()
    unwatchPin(this)
    closeSnapshot(this.#engine, this.#sequence)
  }

  #isNextFound(): boolean {
    const engine = this.#engine
    while (this.#missing > 0) {
      engine.requireOpen()
      requireShown(engine, this.#sequence)
      this.#requireUnmoved()
      const step = this.#offsets.next()
      if (step.done === true) {
        requireShown(engine, this.#sequence)
        this.#requireUnmoved()
        throw corrupt(engine.directory, 0, `the log lacks ${this.#missing} records of the index`)
      }
      if (!this.#isLive(step.value)) continue
      this.#missing--
      // Of those that have expired the counts may still know.
      if (expiryFound(this.#engine) === noExpiry || !isExpiredAt(this.#engine, this.#timeMs)) {
        return true
      }
    }
    return false
  }

  /** Makes the record's key the key at hand and asks the index whether the snapshot shows it. */
  #isLive({ slot, offset }: Place): boolean {
    const engine = this.#engine
    const { log, lookup } = engine
    const words = log.words[slot]
    if (recordType(words, offset * 2) !== typePut) return false
    if (recordKeyspace(words, offset * 2) !== this.#keyspaceId) return false
    takeKey(engine, words, offset * 2)
    const hash = hashKey(engine, this.#keyspaceId)
    if (!findHashedAt(engine, hash, this.#keyspaceId, this.#sequence, beforeAllTime)) return false
    // In an oversized segment, the index names the slot of the part that the record begins in.
    return log.starts[lookup.slot] + lookup.offset === log.starts[slot] + offset
  }

  /** One that may not write cannot hold compaction off. */
  #requireUnmoved(): void {
    const { control, directory, isCopy, log } = this.#engine
    if (log.access !== 'private' || isCopy) return
    if (control.read(layout.movedRecords) === this.#moved) return
    throw new StoreError('STORE_IN_USE', `${directory} was compacted while it was being scanned`)
  }
}

/**
 * The newest live record of a keyspace, whose key is the key at hand then; undefined for none. Updates
 * in place give old places new sequences, but none behind a marker is older than the marker.
 */
export function findNewest(engine: Engine, keyspaceId: number): RecordFacts | undefined {
  const { log, lookup } = engine
  const release = holdLog(engine)
  const sequence = openSnapshot(engine)
  const timeMs = snapshotTime(engine)
  try {
    let slot = -1
    let offset = 0
    let newest = -1
    for (const place of placesInLog(engine, true)) {
      const words = log.words[place.slot]
      const type = recordType(words, place.offset * 2)
      const written = log.doubles[place.slot][place.offset + sequenceDouble]
      if (type === typeMarker && written <= newest) break
      if (type !== typePut || written <= newest || written > sequence) continue
      if (recordKeyspace(words, place.offset * 2) !== keyspaceId) continue
      takeKey(engine, words, place.offset * 2)
      const hash = hashKey(engine, keyspaceId)
      if (!findHashedAt(engine, hash, keyspaceId, sequence, timeMs)) continue
      if (log.doubles[lookup.slot][lookup.offset + sequenceDouble] !== written) continue
      newest = written
      slot = lookup.slot
      offset = lookup.offset
    }
    requireShown(engine, sequence)
    if (slot === -1) return undefined
    takeKey(engine, log.words[slot], offset * 2)
    lookup.slot = slot
    lookup.offset = offset
    lookup.recordWords = log.words[slot]
    const record = foundRecord(engine)
    requireShown(engine, sequence)
    return record
  } finally {
    release()
    // It changes the key at hand.
    closeSnapshotKeepingKey(engine, sequence)
  }
}

function closeSnapshotKeepingKey(engine: Engine, sequence: number): void {
  const bytes = Buffer.from(engine.key.bytes.subarray(0, engine.key.sizeBytes))
  closeSnapshot(engine, sequence)
  engine.key.setBytes(bytes)
}

/** A record: the slot that its segment begins in, and its 8-byte words from there. */
interface Place {
  slot: number
  offset: number
}

/** Every record that cannot change any more, batches record by record. One object for all of them. */
function* placesInLog(engine: Engine, isReverse: boolean): Generator<Place> {
  const { control, log } = engine
  // A snapshot has moved the boundary to what was the tail; in memory of one's own nothing changes.
  const end = control.read(log.access === 'private' ? layout.tail : layout.readOnly)
  const place: Place = { slot: 0, offset: 0 }
  const slots = logSlots(engine)
  if (isReverse) slots.reverse()
  for (const slot of slots) {
    place.slot = slot
    const offsets = recordOffsets(engine, slot, end)
    for (const offset of isReverse ? [...offsets].reverse() : offsets) {
      place.offset = offset
      yield place
    }
  }
}

/** The slots of all log segments, oldest segment first. */
function logSlots(engine: Engine): number[] {
  const { control, log } = engine
  const slotEnd = control.read(layout.slotEnd)
  return Array.from({ length: slotEnd }, (_, slot) => slot)
    .filter((slot) => log.slots.get(slot, slotKind) === kindLog)
    .sort((a, b) => log.slots.get(a, slotNumber) - log.slots.get(b, slotNumber))
}

/** Where the records of a segment begin, in 8-byte words of its file. */
function* recordOffsets(engine: Engine, slot: number, end: number): Generator<number> {
  const { log } = engine
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const segmentNumber = log.slots.get(slot, slotNumber)
  const scan = new SegmentScan(
    {
      words: log.words[slot],
      doubles: log.doubles[slot],
      storeId: log.storeId,
      epoch: log.slots.get(slot, slotEpoch),
      segmentNumber,
      shift: log.shift,
      endOffset: Math.min(
        log.slots.get(slot, slotSizeBytes) / 8,
        end - segmentNumber * log.segmentWords,
      ),
    },
    firstRecordOffset,
  )
  // A bad record is left to the count: behind the end that recovery gave a segment it means nothing.
  while (scan.look() === 'record') {
    yield* scan.recordOffsets()
    scan.skip()
  }
}
