/**
 * Watching: every change of the store, in the order of its sequences, read from the log, by each
 * watcher at its own pace.
 *
 * While anybody watches nothing is updated in place, so that no change is written over before it was
 * read, and the log is in the order of its sequences: a word of the control file says so, set and taken
 * back with the writer's word in hand, under which an update in place asks for it. How far each
 * attachment's watchers have come stands in its entry of the table: compaction keeps what lies behind
 * that, and it goes with a thread that dies. The one on background duty takes the word back for those.
 *
 * What was written before the watcher began may have been updated in place, which gave old places new
 * sequences; never across a marker, because a marker ends the mutable region. So that part is read from
 * marker to marker, and sorted. Records that compaction moved are no changes.
 *
 * Only what reads can see is given: a change is committed before it is applied, and whoever is told of
 * one must find it (see {@link AppliedEnd}).
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import {
  expiresAtDouble,
  flagExpiry,
  flagMoved,
  flagReference,
  markerPreviousDouble,
  recordHeaderSizeBytes,
  sequenceDouble,
  timestampDouble,
  typeMarker,
  typePut,
  typeTombstone,
  versionDouble,
} from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { LogWalk } from '../log/log-walk.js'
import {
  recordFlags,
  recordKeyspace,
  recordType,
  recordValueOffset,
  recordValueSize,
  referencedSlot,
} from '../log/record-fields.js'
import { kindLog, slotEpoch, slotKind } from '../log/slot-table.js'
import type { Engine } from './engine.js'
import { enter, leave } from './exclusive.js'
import { freezeLog } from './freeze.js'
import { mapReference } from './reference.js'
import { takeKey } from './take-key.js'
import { endsOfSegments, headerOf, oldestServable, segmentsInOrder } from './watch-history.js'

export interface LoggedChange {
  readonly type: 'put' | 'delete'
  readonly key: Buffer
  readonly value: Buffer | undefined
  readonly version: number
  readonly sequence: number
  readonly timestampMs: number
  /** Undefined for never. */
  readonly expiresAtMs: number | undefined
}

/** What a watcher wants of all changes. */
export interface WatchFilter {
  readonly keyspaceId: number
  /** Keys that begin with these bytes, … */
  readonly prefix: Buffer
  /** … and this one. */
  readonly exact: Buffer
}

/** Records that are looked at before others have their turn. */
const recordsPerStep = 512
/** Bytes of values that are copied before they are asked for. */
const queuedBytesMax = 2 ** 20

/** How far a watcher has come; not the watcher, which may be collected when nobody reaches it. */
interface Position {
  readonly engine: Engine
  sequence: number
}

const abandoned = new FinalizationRegistry<Position>((position) => {
  try {
    if (!position.engine.isClosed) removePosition(position)
  } catch (error) {
    position.engine.onError?.(error)
  }
})

export class LogWatcher {
  readonly #engine: Engine
  readonly #filter: WatchFilter
  readonly #position: Position
  readonly #walk: LogWalk
  readonly #applied: AppliedEnd
  /** From this address on the log is in the order of sequences. */
  readonly #orderedFrom: number
  /** Everything up to this sequence was looked at. */
  #sequence: number
  /** The highest sequence of any record passed so far. */
  #highest: number
  #epoch = 0
  #queue: LoggedChange[] = []
  #queuedBytes = 0
  // Records between two markers: their sequences and addresses, and, sorted, which is the next.
  #sequences: number[] = []
  #addresses: number[] = []
  #sorted: number[] = []
  #sortedNext = 0
  #isOpen = true

  /** From `since` on, which is the sequence of a change; from now on where it is undefined. */
  constructor(engine: Engine, filter: WatchFilter, since: number | undefined) {
    engine.requireOpen()
    refusePrivate(engine)
    const { attachments, control, log, watched } = engine
    this.#engine = engine
    this.#filter = filter
    enter(engine)
    try {
      freezeLog(control)
      const sequence = control.get(layout.sequence)
      const start = since === undefined ? undefined : findStart(engine, since)
      this.#sequence = since ?? sequence
      this.#highest = start?.sequence ?? sequence
      this.#orderedFrom = control.get(layout.tail)
      this.#applied = new AppliedEnd(engine, this.#orderedFrom)
      this.#position = { engine, sequence: this.#sequence }
      const ends = start === undefined ? undefined : endsOfSegments(engine)
      const from = start?.address ?? this.#orderedFrom
      this.#walk = new LogWalk(log, from, this.#orderedFrom, ends)
      watched.add(this.#sequence)
      attachments.setWatched(watched.lowest)
      Atomics.store(control.words, layout.watchedWord, 1)
    } finally {
      leave(engine)
    }
    abandoned.register(this, this.#position, this)
  }

  /** The next change that was looked at, or undefined: then {@link advance}. */
  take(): LoggedChange | undefined {
    const change = this.#queue.shift()
    if (change === undefined) return undefined
    this.#queuedBytes -= change.value?.length ?? 0
    return change
  }

  /**
   * Looks at some records. False where there are no more for now.
   * Throws `STORE_COMPACTED` where some that were asked for are gone.
   */
  advance(): boolean {
    if (this.#sortedNext < this.#sorted.length) {
      this.#takeSorted()
      return true
    }
    if (this.#walk.address < this.#orderedFrom && this.#gather()) return true
    this.#walk.end = this.#applied.look()
    const isMore = this.#follow()
    if (this.#queue.length === 0) this.#moveTo(this.#sequence)
    return isMore
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#queue = []
    abandoned.unregister(this)
    if (!this.#engine.isClosed) removePosition(this.#position)
  }

  /** What was written since the watcher began: the order is that of the log. */
  #follow(): boolean {
    const walk = this.#walk
    for (let count = 0; count < recordsPerStep && this.#queuedBytes < queuedBytesMax; count++) {
      if (!walk.next()) return count > 0
      if (!this.#isChange(walk.slot, walk.offset)) continue
      const sequence = this.#sequenceAt(walk.slot, walk.offset)
      if (sequence <= this.#sequence) continue
      if (this.#isWanted(walk.slot, walk.offset)) this.#enqueue(walk.slot, walk.offset)
      this.#sequence = sequence
    }
    return true
  }

  /** What was written before, up to the next marker. False where there is nothing left of it. */
  #gather(): boolean {
    const walk = this.#walk
    for (let count = 0; count < recordsPerStep; count++) {
      if (!walk.next()) {
        this.#sort()
        return this.#sorted.length > 0
      }
      const { slot, offset } = walk
      this.#passSegment(slot)
      const sequence = this.#sequenceAt(slot, offset)
      if (walk.type === typeMarker || this.#isChange(slot, offset)) {
        this.#highest = Math.max(this.#highest, sequence)
      }
      if (walk.type === typeMarker) {
        this.#sort()
        if (this.#sorted.length > 0) return true
      } else if (this.#isChange(slot, offset) && sequence > this.#sequence) {
        this.#sequences.push(sequence)
        this.#addresses.push(walk.address)
      }
    }
    return true
  }

  /** An epoch ends as a marker does; and the next one must go on where it ended. */
  #passSegment(slot: number): void {
    const { log } = this.#engine
    const epoch = log.slots.get(slot, slotEpoch)
    if (epoch === this.#epoch) return
    if (this.#epoch !== 0) {
      const { firstSequence, sequenceBefore } = headerOf(log, log.firstSlotOf(slot))
      if (sequenceBefore !== this.#highest) throw compacted(firstSequence - 1)
      this.#highest = firstSequence - 1
    }
    this.#epoch = epoch
  }

  /** Brings what was gathered into the order of its sequences. */
  #sort(): void {
    const sequences = this.#sequences
    const addresses = this.#addresses
    this.#sequences = []
    this.#addresses = []
    this.#sortedNext = 0
    const isSorted = sequences.every((sequence, at) => at === 0 || sequence > sequences[at - 1])
    this.#sorted = isSorted
      ? addresses
      : Array.from(sequences.keys())
          .sort((a, b) => sequences[a] - sequences[b])
          .map((at) => addresses[at])
  }

  #takeSorted(): void {
    const { log } = this.#engine
    for (let count = 0; count < recordsPerStep && this.#queuedBytes < queuedBytesMax; count++) {
      if (this.#sortedNext === this.#sorted.length) return
      const { slot, offset } = log.locate(this.#sorted[this.#sortedNext++])
      if (this.#isWanted(slot, offset)) this.#enqueue(slot, offset)
      this.#sequence = this.#sequenceAt(slot, offset)
    }
  }

  #sequenceAt(slot: number, offset: number): number {
    return this.#engine.log.doubles[slot][offset + sequenceDouble]
  }

  #isChange(slot: number, offset: number): boolean {
    const words = this.#engine.log.words[slot]
    const type = recordType(words, offset * 2)
    if (type !== typePut && type !== typeTombstone) return false
    return (recordFlags(words, offset * 2) & flagMoved) === 0
  }

  /** Makes the record's key the key at hand. */
  #isWanted(slot: number, offset: number): boolean {
    const { key, log } = this.#engine
    const { exact, keyspaceId, prefix } = this.#filter
    const words = log.words[slot]
    if (recordKeyspace(words, offset * 2) !== keyspaceId) return false
    takeKey(this.#engine, words, offset * 2)
    if (key.sizeBytes < prefix.length) return exact.equals(key.bytes.subarray(0, key.sizeBytes))
    return prefix.compare(key.bytes, 0, prefix.length) === 0
  }

  #enqueue(slot: number, offset: number): void {
    const { key, log } = this.#engine
    const doubles = log.doubles[slot]
    const words = log.words[slot]
    const isPut = recordType(words, offset * 2) === typePut
    const value = isPut ? this.#valueAt(slot, offset) : undefined
    const expires = (recordFlags(words, offset * 2) & flagExpiry) !== 0
    this.#queue.push({
      type: isPut ? 'put' : 'delete',
      key: Buffer.from(key.bytes.subarray(0, key.sizeBytes)),
      value,
      version: doubles[offset + versionDouble],
      sequence: doubles[offset + sequenceDouble],
      timestampMs: doubles[offset + timestampDouble],
      expiresAtMs: expires ? doubles[offset + expiresAtDouble] : undefined,
    })
    this.#queuedBytes += value?.length ?? 0
  }

  #valueAt(slot: number, offset: number): Buffer {
    const { log } = this.#engine
    const words = log.words[slot]
    const size = recordValueSize(words, offset * 2)
    const start = offset * 8 + recordValueOffset(words, offset * 2)
    if ((recordFlags(words, offset * 2) & flagReference) === 0) {
      return Buffer.from(log.bytes[slot].subarray(start, start + size))
    }
    if (referencedSlot(log, slot, offset) === -1) throw compacted(this.#sequenceAt(slot, offset))
    const valueSlot = mapReference(log, slot, start)
    const bytes = log.bytes[valueSlot]
    return Buffer.from(bytes.subarray(segmentHeaderSizeBytes, segmentHeaderSizeBytes + size))
  }

  /** What lies before it is not needed any more. */
  #moveTo(sequence: number): void {
    const { attachments, watched } = this.#engine
    if (sequence === this.#position.sequence) return
    watched.add(sequence)
    watched.remove(this.#position.sequence)
    this.#position.sequence = sequence
    attachments.setWatched(watched.lowest)
  }
}

/** A watcher ended. */
function removePosition({ engine, sequence }: Position): void {
  const { attachments, watched } = engine
  watched.remove(sequence)
  attachments.setWatched(watched.lowest)
  if (watched.count === 0) endWatching(engine)
}

/** Updates in place may begin again where nobody watches any more. */
export function endWatching(engine: Engine): void {
  const { attachments, control } = engine
  if (Atomics.load(control.words, layout.watchedWord) === 0) return
  if (attachments.lowestWatched() !== Number.POSITIVE_INFINITY) return
  enter(engine)
  // With the word in hand nobody begins.
  if (attachments.lowestWatched() === Number.POSITIVE_INFINITY) {
    Atomics.store(control.words, layout.watchedWord, 0)
  }
  leave(engine)
}

function refusePrivate({ directory, log }: Engine): void {
  if (log.access !== 'private') return
  throw new StoreError(
    'STORE_READ_ONLY',
    `a watcher marks in ${directory} how far it has read, and this reader may not write there`,
    { details: { file: directory } },
  )
}

/** Where to begin so that nothing behind `since` is missed, and the highest sequence before that. */
interface Start {
  readonly address: number
  readonly sequence: number
}

/** The last marker that was written at or before `since`, or the beginning of the log. */
function findStart(engine: Engine, since: number): Start {
  const { control, log } = engine
  const last = control.get(layout.sequence)
  if (since > last) {
    throw new RangeError(
      `option "sinceSequence" is ${since}; accepted: 0 to ${last}, the last sequence of this store`,
    )
  }
  for (let marker = control.get(layout.lastMarker); marker !== 0; ) {
    const markerSlot = log.slotOf(Math.floor(marker / log.segmentWords))
    // Compaction drops it, or has.
    if (markerSlot === -1 || log.slots.get(log.firstSlotOf(markerSlot), slotKind) !== kindLog) break
    const { slot, offset } = log.locate(marker)
    const sequence = log.doubles[slot][offset + sequenceDouble]
    if (sequence <= since) return requireUnbroken(engine, since, { address: marker, sequence })
    const value = offset + recordHeaderSizeBytes / 8
    marker = log.doubles[slot][value + markerPreviousDouble]
  }
  const [first] = segmentsInOrder(log)
  const address = first.number * log.segmentWords + segmentHeaderSizeBytes / 8
  const { firstSequence } = headerOf(log, first.slot)
  return requireUnbroken(engine, since, { address, sequence: firstSequence - 1 })
}

function requireUnbroken(engine: Engine, since: number, start: Start): Start {
  const oldest = oldestServable(engine.log, start)
  if (since < oldest) throw compacted(oldest)
  return start
}

function compacted(oldest: number): StoreError {
  return new StoreError(
    'STORE_COMPACTED',
    `changes that were asked for are gone from the log; the oldest that it can begin behind is ${oldest}`,
    { details: { oldest } },
  )
}

/**
 * The address below which every record is applied, for one that does not write itself.
 *
 * A change is committed before it is applied. Between two operations all are applied; and when another
 * commit is seen, everything up to the one before it is: nobody commits on top of what is not applied.
 */
class AppliedEnd {
  readonly #engine: Engine
  #end: number
  /** The last commit that was seen while somebody wrote, how far the log went then, and since when. */
  #commits = 0
  #seenEnd = 0
  #seenAtMs = 0

  constructor(engine: Engine, end: number) {
    this.#engine = engine
    this.#end = end
  }

  look(): number {
    const { control } = this.#engine
    const { words } = control
    const commits = Atomics.load(words, layout.currentWord)
    control.adopt()
    const frame = control.get(layout.batchFrame)
    const end = frame === 0 ? control.get(layout.tail) : frame
    const writer = Atomics.load(words, layout.writerWord)
    // It was written over while it was read.
    if (Atomics.load(words, layout.currentWord) !== commits) return this.#end
    if ((writer & layout.tokenBusy) === 0) {
      this.#end = end
      this.#commits = 0
      return end
    }
    if (commits !== this.#commits) {
      if (this.#commits !== 0) this.#end = Math.max(this.#end, this.#seenEnd)
      this.#commits = commits
      this.#seenEnd = end
      this.#seenAtMs = performance.now()
    } else if (performance.now() - this.#seenAtMs > msBeforeDeathCheck) {
      this.#finishForDead(writer)
    }
    return this.#end
  }

  /** Somebody has been writing for long: if it is dead, what it began is finished. */
  #finishForDead(writer: number): void {
    this.#seenAtMs = performance.now()
    const lock = this.#engine.attachments.takeFromDead(writer)
    if (lock === undefined) return
    lock.release()
    enter(this.#engine)
    leave(this.#engine)
  }
}

const msBeforeDeathCheck = 5
