/**
 * Verifying the log: every record up to the tail, every value in a segment of its own, the digests
 * of markers and batches; and, of each record, that the hash index does not lead to an older one.
 *
 * A record that was live at the snapshot is counted. So in the end the counts tell whether any that
 * the store knew of cannot be reached; which ones, a second walk finds out ({@link traceLost}).
 */
import { hashKey } from '../engine/probe.js'
import { takeTurn } from '../engine/read.js'
import { beforeAllTime, findHashedAt } from '../engine/snapshot.js'
import { takeKey } from '../engine/take-key.js'
import * as layout from '../format/control-layout.js'
import {
  flagReference,
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
  sequenceDouble,
  typePut,
  typeTombstone,
} from '../format/record.js'
import { MarkerTrail } from '../log/marker-trail.js'
import {
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordType,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { SegmentReader } from '../log/segment-reader.js'
import { type SegmentVisitor, walkSegment } from '../log/segment-walk.js'
import { slotTombstoneBytes } from '../log/slot-table.js'
import type { Verification } from './verification.js'
import type { ExpectedSegment } from './verify-files.js'

/** A value that a record says lies in a segment of its own. */
interface Reference {
  /** The record's own place. */
  readonly file: string
  readonly address: number
  readonly isLive: boolean
  readonly segmentNumber: number
  readonly epoch: number
  readonly valueSizeBytes: number
  readonly checksum: number
}

/** Segments that can be read, by number; the log's in order. */
export interface ReadableSegments {
  readonly log: readonly ExpectedSegment[]
  readonly values: ReadonlyMap<number, ExpectedSegment>
  /** False where memory must not be touched everywhere, because a file is shorter than it was. */
  readonly isMemoryWhole: boolean
}

export function* verifyLog(
  verification: Verification,
  segments: ReadableSegments,
): Generator<void, void> {
  const visitor = new LogVisitor(verification, segments)
  for (const segment of segments.log) yield* visitor.walk(segment)
}

class LogVisitor implements SegmentVisitor {
  readonly #verification: Verification
  readonly #segments: ReadableSegments
  #segment: ExpectedSegment | undefined
  #references: Reference[] = []
  /** Of the segment at hand. */
  #tombstoneBytes = 0
  readonly #trail = new MarkerTrail()

  constructor(verification: Verification, segments: ReadableSegments) {
    this.#verification = verification
    this.#segments = segments
  }

  *walk(segment: ExpectedSegment): Generator<void, void> {
    const { engine, problems } = this.#verification
    const problemCount = problems.count
    this.#segment = segment
    this.#tombstoneBytes = 0
    const partCount = Math.ceil(segment.sizeBytes / engine.log.segmentSizeBytes)
    this.#trail.enter({ ...segment, partCount }, segment.path)
    // The one before may be among those that cannot be read, and that was said of it.
    if (!this.#segments.isMemoryWhole) this.#trail.lose()
    const file = engine.platform.openFile(segment.path, 'read')
    try {
      const { segmentNumber, epoch } = segment
      const { storeId, shift } = engine.log
      const identity = { storeId, shift, segmentNumber, epoch }
      const reader = new SegmentReader(file, identity, segment.sizeBytes, engine.mended)
      const before = this.#verification.bytes
      const endOffset = segment.endBytes === undefined ? undefined : segment.endBytes / 8
      const steps = walkSegment(reader, firstRecordOffset, endOffset, this)
      for (;;) {
        const step = steps.next()
        this.#verification.bytes = before + reader.bytesRead
        if (step.done === true) break
        yield
      }
    } catch (error) {
      problems.addFailure(segment.path, 0, error)
      this.#verification.hasDamagedLog = true
      this.#trail.lose()
    } finally {
      file.close()
    }
    if (problems.count === problemCount) this.#compareTombstones(segment)
    const references = this.#references
    this.#references = []
    for (const reference of references) yield* this.#verifyValue(reference)
  }

  record(reader: SegmentReader, offset: number): void {
    const { start, words } = reader
    const type = recordType(words, start)
    if (!this.#trail.follow(reader, this.#path)) this.#refuseMarker(offset)
    if (type !== typePut && type !== typeTombstone) return
    if (type === typeTombstone) this.#tombstoneBytes += reader.span * 8
    const isLive = this.#verification.isIndexUsable && this.#isLive(reader, offset)
    if ((recordFlags(words, start) & flagReference) !== 0) this.#refer(reader, offset, isLive)
  }

  /** By what is counted compaction knows that there is something that it may not leave out (I8). */
  #compareTombstones({ segmentNumber, path }: ExpectedSegment): void {
    if (!this.#verification.isComparable()) return
    const { engine, problems, state } = this.#verification
    const { log } = engine
    const slot = log.slotOf(segmentNumber)
    // A copy of its own has no tail that is written to.
    const isTail = !engine.isCopy && log.firstSlotOf(state[layout.tailSlot]) === slot
    const counted = isTail
      ? state[layout.tailTombstoneBytes]
      : log.slots.get(slot, slotTombstoneBytes)
    if (counted === this.#tombstoneBytes) return
    const what = `of its tombstones ${counted} bytes are counted, it has ${this.#tombstoneBytes}`
    problems.add(path, 0, what)
  }

  damage(offset: number, _end: number, what: string): void {
    const { problems } = this.#verification
    problems.add(this.#path, offset * 8, what)
    this.#verification.hasDamagedLog = true
    // The next marker counts what cannot be read here.
    this.#trail.lose()
  }

  #refuseMarker(offset: number): void {
    const { problems } = this.#verification
    const { from } = this.#trail
    const what = `the records before this marker, from ${from} on, are not those that were synced`
    problems.add(this.#path, offset * 8, what)
    this.#verification.hasDamagedLog = true
  }

  isWholeAfterAll(look: () => boolean): boolean {
    const { engine } = this.#verification
    if (look()) return true
    if (engine.log.access !== 'private') return this.#verification.exclusively(look)
    for (let tries = 0; tries < 8; tries++) {
      takeTurn(engine)
      if (look()) return true
    }
    return false
  }

  get #path(): string {
    return this.#segment?.path ?? ''
  }

  /** Counts a record that was live at the snapshot. */
  #isLive(reader: SegmentReader, offset: number): boolean {
    const { engine, keyspaces, sequence: snapshot } = this.#verification
    const { start, words } = reader
    const keyspaceId = recordKeyspace(words, start)
    const keyspace = keyspaces.get(keyspaceId)
    const hasOrphan = keyspace === undefined
    if (hasOrphan && !this.#verification.hasOrphans) return false
    const hash = takeKeyOf(this.#verification, reader)
    const address = this.#addressOf(offset)
    const isPut = findHashedAt(engine, hash, keyspaceId, snapshot, beforeAllTime)
    const found = addressFound(this.#verification)
    if (isPut && found === address) {
      const valueSizeBytes = recordValueSize(words, start)
      if (keyspace !== undefined) {
        keyspace.found.records++
        keyspace.found.keyBytes += recordKeySize(words, start)
        keyspace.found.valueBytes += valueSizeBytes
      }
      this.#verification.foundLiveBytes += reader.span * 8
      return true
    }
    if (!hasOrphan && isPut) this.#compareSequence(reader, offset, keyspaceId, hash)
    return false
  }

  /** What the index leads to in the place of a record must be a later one, or a copy of it that was moved. */
  #compareSequence(reader: SegmentReader, offset: number, keyspaceId: number, hash: number): void {
    const { engine, problems, sequence: snapshot } = this.#verification
    const { log, lookup } = engine
    const sequence = reader.doubles[reader.start / 2 + sequenceDouble]
    const isLater = (): boolean =>
      log.doubles[lookup.slot][lookup.offset + sequenceDouble] >= sequence
    if (isLater()) return
    const isOlder = this.#verification.exclusively(() => {
      takeKeyOf(this.#verification, reader)
      return findHashedAt(engine, hash, keyspaceId, snapshot, beforeAllTime) && !isLater()
    })
    if (!isOlder || addressFound(this.#verification) === this.#addressOf(offset)) return
    problems.add(this.#path, offset * 8, 'the index leads to an older record of its key')
  }

  #addressOf(offset: number): number {
    return (this.#segment?.segmentNumber ?? 0) * this.#verification.engine.log.segmentWords + offset
  }

  #refer(reader: SegmentReader, offset: number, isLive: boolean): void {
    const { doubles, start, words } = reader
    const reference = start + recordValueOffset(words, start) / 4
    this.#references.push({
      file: this.#path,
      address: offset * 8,
      isLive,
      segmentNumber: doubles[reference / 2 + referenceSegmentDouble],
      epoch: doubles[reference / 2 + referenceEpochDouble],
      valueSizeBytes: recordValueSize(words, start),
      checksum: words[reference + referenceChecksumWord],
    })
  }

  *#verifyValue(reference: Reference): Generator<void, void> {
    const { engine, problems } = this.#verification
    const { epoch, segmentNumber, valueSizeBytes } = reference
    const segment = this.#segments.values.get(segmentNumber)
    if (segment === undefined) {
      // Said already where the segment is there and its header is damaged.
      if (reference.isLive && engine.log.slotOf(segmentNumber) === -1) {
        problems.add(reference.file, reference.address, 'the value that it refers to is missing')
      }
      return
    }
    if (segment.epoch !== epoch) {
      problems.add(reference.file, reference.address, 'the value that it refers to is another one')
      return
    }
    if (reference.isLive) this.#verification.foundLiveBytes += segment.sizeBytes
    const file = engine.platform.openFile(segment.path, 'read')
    try {
      const { storeId, shift } = engine.log
      const identity = { storeId, shift, segmentNumber, epoch }
      const reader = new SegmentReader(file, identity, segment.sizeBytes, engine.mended)
      const before = this.#verification.bytes
      const steps = reader.checksumValue(valueSizeBytes)
      for (;;) {
        const step = steps.next()
        this.#verification.bytes = before + reader.bytesRead
        if (step.done !== true) {
          yield
          continue
        }
        if (step.value === reference.checksum) break
        const at = firstRecordOffset * 8
        problems.add(segment.path, at, 'the value does not match its checksum')
        break
      }
    } catch (error) {
      problems.addFailure(segment.path, 0, error)
    } finally {
      file.close()
    }
  }
}

/** Makes the key of the record looked at the key at hand; returns its hash. */
function takeKeyOf({ engine }: Verification, reader: SegmentReader): number {
  const { start, words } = reader
  takeKey(engine, words, start)
  return hashKey(engine, recordKeyspace(words, start))
}

function addressFound({ engine: { log, lookup } }: Verification): number {
  return log.starts[lookup.slot] + lookup.offset
}

/**
 * The records that were live at the snapshot and that the index does not have: of those whose keys it
 * does not know, the last one that no tombstone follows.
 */
export function* traceLost(
  verification: Verification,
  segments: ReadableSegments,
): Generator<void, void> {
  const { engine, keyspaces, problems, sequence: snapshot } = verification
  const lost = new Map<string, { readonly file: string; readonly address: number }>()
  for (const segment of segments.log) {
    const { path, segmentNumber, epoch } = segment
    const { storeId, shift } = engine.log
    const file = engine.platform.openFile(path, 'read')
    try {
      const identity = { storeId, shift, segmentNumber, epoch }
      const reader = new SegmentReader(file, identity, segment.sizeBytes, engine.mended)
      const endOffset = segment.endBytes === undefined ? undefined : segment.endBytes / 8
      yield* walkSegment(reader, firstRecordOffset, endOffset, {
        record: (_, offset) => {
          const { start, words } = reader
          const type = recordType(words, start)
          const keyspaceId = recordKeyspace(words, start)
          if (type !== typePut && type !== typeTombstone) return
          if (!keyspaces.has(keyspaceId)) return
          const hash = takeKeyOf(verification, reader)
          const { bytes, sizeBytes } = engine.key
          const name = `${keyspaceId} ${bytes.toString('latin1', 0, sizeBytes)}`
          if (type === typeTombstone) lost.delete(name)
          else if (findHashedAt(engine, hash, keyspaceId, snapshot, beforeAllTime)) return
          else lost.set(name, { file: path, address: offset * 8 })
        },
        damage: () => undefined,
        isWholeAfterAll: () => false,
      })
    } finally {
      file.close()
    }
  }
  for (const { file, address } of lost.values()) {
    problems.add(file, address, 'the index does not lead to this record, which is live')
  }
}
