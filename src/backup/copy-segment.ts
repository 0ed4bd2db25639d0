/**
 * Copying the segments of a store into a backup: what is there in full already is verified and kept,
 * and what is copied is verified in the store and again in the copy.
 */
import { join } from 'node:path'
import { corrupt } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import type { ManifestSegment } from '../format/manifest.js'
import { flagReference, referenceChecksumWord, referenceSegmentDouble } from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { MarkerTrail } from '../log/marker-trail.js'
import { recordFlags, recordValueOffset, recordValueSize } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { SegmentReader } from '../log/segment-reader.js'
import type { SegmentIdentity } from '../log/segment-seeds.js'
import { walkSegment } from '../log/segment-walk.js'
import type { PlatformFile } from '../platform/platform.js'
import { type BackupTarget, copySuffix } from './backup-target.js'

/** A segment of the store that the backup is made of. */
export interface SegmentSource {
  readonly name: string
  readonly segmentNumber: number
  readonly epoch: number
  readonly kind: number
  readonly sizeBytes: number
  /** Number of the log segment before; 0 for the first of an epoch. */
  readonly previousSegment: number
  /** Where its records end, where that is known without reading it. */
  readonly endBytes: number | undefined
}

interface ValueReference {
  readonly segmentNumber: number
  readonly valueSizeBytes: number
  readonly checksum: number
}

interface Walked {
  /** Where the records that verify end, in 8-byte words. */
  readonly end: number
  readonly references: readonly ValueReference[]
}

const chunkSizeBytes = 2 ** 18

export class SegmentCopier {
  /** Bytes dealt with, and bytes written. */
  bytes = 0
  bytesCopied = 0
  /** Names of the files that were written. */
  readonly changedNames: Set<string> = new Set()
  readonly #engine: Engine
  readonly #target: BackupTarget
  readonly #values: ReadonlyMap<number, SegmentSource>
  readonly #trail = new MarkerTrail()
  readonly #named: ManifestSegment[] = []
  readonly #copiedValues = new Set<number>()

  constructor(engine: Engine, target: BackupTarget, values: ReadonlyMap<number, SegmentSource>) {
    this.#engine = engine
    this.#target = target
    this.#values = values
  }

  /** What the manifest is to name, in order of number. */
  *copy(log: readonly SegmentSource[]): Generator<void, ManifestSegment[]> {
    for (const source of log) {
      yield
      const { end, references } = yield* this.#copyLog(source)
      for (const reference of references) yield* this.#copyValue(reference)
      if (end > firstRecordOffset) this.#name(source, end * 8)
    }
    return this.#named.sort((a, b) => a.segmentNumber - b.segmentNumber)
  }

  #name({ segmentNumber, epoch, kind }: SegmentSource, endBytes: number): void {
    this.#named.push({ segmentNumber, epoch, kind, endBytes })
  }

  #enter(source: SegmentSource, path: string): void {
    const partCount = Math.ceil(source.sizeBytes / this.#engine.log.segmentSizeBytes)
    this.#trail.enter({ ...source, partCount }, path)
  }

  *#copyLog(source: SegmentSource): Generator<void, Walked> {
    const before = this.#targetEnd(source)
    if (before !== undefined && this.#isFollowed(source.segmentNumber)) {
      // The log had gone on behind it when the older backup was made: it was complete.
      const kept = yield* this.#walkTarget(source, before)
      this.#enter(source, source.name)
      this.#trail.lose()
      if (kept !== undefined && kept.end * 8 === before) return kept
    }
    const walked = yield* this.#walkSource(source)
    if (walked.end === firstRecordOffset) return walked
    const endBytes = walked.end * 8
    if (this.#target.headers.has(source.name)) {
      const there = yield* this.#walkTarget(source, endBytes)
      if (there !== undefined && there.end * 8 === endBytes) {
        // Perhaps of a backup that was killed before it was synced.
        if (before !== endBytes) this.changedNames.add(source.name)
        return walked
      }
      if (before !== undefined && there !== undefined && there.end * 8 >= before) {
        yield* this.#write(source, source.name, before, endBytes)
        yield* this.#verifyCopy(source, before / 8, walked.end)
        return walked
      }
    }
    yield* this.#copyWhole(source, endBytes)
    yield* this.#verifyCopy(source, firstRecordOffset, walked.end)
    return walked
  }

  *#copyValue(reference: ValueReference): Generator<void, void> {
    const { segmentNumber, valueSizeBytes } = reference
    if (this.#copiedValues.has(segmentNumber)) return
    this.#copiedValues.add(segmentNumber)
    const source = this.#values.get(segmentNumber)
    // Compaction dropped it: what refers to it is superseded.
    if (source === undefined) return
    const isThere =
      this.#target.headers.get(source.name)?.epoch === source.epoch &&
      (yield* this.#valueVerifies(source, reference))
    if (!isThere) {
      yield* this.#copyWhole(source, segmentHeaderSizeBytes + valueSizeBytes)
      if (!(yield* this.#valueVerifies(source, reference))) {
        const path = this.#engine.log.path(source.name)
        throw corrupt(path, segmentHeaderSizeBytes, 'the value does not match its checksum')
      }
    } else if (!this.#target.named.has(segmentNumber)) {
      this.changedNames.add(source.name)
    }
    this.#name(source, source.sizeBytes)
  }

  *#valueVerifies(source: SegmentSource, reference: ValueReference): Generator<void, boolean> {
    const { directory, platform } = this.#target
    const file = platform.openFile(join(directory, source.name), 'read')
    try {
      const reader = new SegmentReader(file, this.#identityOf(source), source.sizeBytes)
      const checksum = yield* reader.checksumValue(reference.valueSizeBytes)
      return checksum === reference.checksum
    } finally {
      file.close()
    }
  }

  /** The end that the older backup names of it. */
  #targetEnd({ name, segmentNumber }: SegmentSource): number | undefined {
    return this.#target.headers.has(name)
      ? this.#target.named.get(segmentNumber)?.endBytes
      : undefined
  }

  /** True where the older backup names a later log segment. */
  #isFollowed(segmentNumber: number): boolean {
    const kind = this.#target.named.get(segmentNumber)?.kind
    for (const other of this.#target.named.values()) {
      if (other.kind === kind && other.segmentNumber > segmentNumber) return true
    }
    return false
  }

  /** Throws `STORE_CORRUPT` where the store itself is damaged. */
  *#walkSource(source: SegmentSource): Generator<void, Walked> {
    const { log, mended, platform } = this.#engine
    const path = log.path(source.name)
    this.#enter(source, path)
    const file = platform.openFile(path, 'read')
    try {
      const reader = new SegmentReader(file, this.#identityOf(source), source.sizeBytes, mended)
      const references: ValueReference[] = []
      const end = yield* walkSegment(reader, firstRecordOffset, wordsOf(source.endBytes), {
        record: (_, offset) => {
          if (!this.#trail.follow(reader, path)) {
            const what = `the records before this marker, from ${this.#trail.from} on, are not those that were synced`
            throw corrupt(path, offset * 8, what)
          }
          collect(reader, references)
        },
        damage: (offset, _end, what) => {
          throw corrupt(path, offset * 8, what)
        },
        isWholeAfterAll: (_look) => false,
      })
      this.bytes += end * 8
      return { end, references }
    } finally {
      file.close()
    }
  }

  /** What of a segment is in the target and verifies. Undefined where it is of another epoch. */
  *#walkTarget(source: SegmentSource, limitBytes: number): Generator<void, Walked | undefined> {
    const { directory, headers, platform } = this.#target
    if (headers.get(source.name)?.epoch !== source.epoch) return undefined
    const file = platform.openFile(join(directory, source.name), 'read')
    try {
      return yield* this.#walkCopy(file, source, firstRecordOffset, limitBytes / 8)
    } finally {
      file.close()
    }
  }

  /** Up to the first thing that does not verify. */
  *#walkCopy(
    file: PlatformFile,
    source: SegmentSource,
    from: number,
    limit: number,
  ): Generator<void, Walked> {
    const reader = new SegmentReader(file, this.#identityOf(source), source.sizeBytes)
    const references: ValueReference[] = []
    let end = limit
    const steps = walkSegment(reader, from, limit, {
      record: () => collect(reader, references),
      damage: (offset) => {
        end = Math.min(end, offset)
      },
      isWholeAfterAll: () => false,
    })
    while (end === limit && steps.next().done !== true) yield
    return { end, references }
  }

  *#verifyCopy(source: SegmentSource, from: number, end: number): Generator<void, void> {
    const { directory, platform } = this.#target
    const path = join(directory, source.name)
    const file = platform.openFile(path, 'read')
    try {
      const walked = yield* this.#walkCopy(file, source, from, end)
      if (walked.end !== end) throw corrupt(path, walked.end * 8, 'the copy does not verify')
    } finally {
      file.close()
    }
  }

  /** Beside, and renamed: what the older backup has under the name stays until the new one is whole. */
  *#copyWhole(source: SegmentSource, endBytes: number): Generator<void, void> {
    const { directory, platform } = this.#target
    const next = source.name + copySuffix
    if (platform.exists(join(directory, next))) platform.remove(join(directory, next))
    yield* this.#write(source, next, 0, endBytes)
    // What the older backup names must not be replaced by what may be lost; the rest is synced later.
    if (this.#target.named.has(source.segmentNumber)) this.#syncNow(join(directory, next))
    platform.rename(join(directory, next), join(directory, source.name))
  }

  #syncNow(path: string): void {
    const file = this.#target.platform.openFile(path, 'write')
    try {
      file.syncNow()
    } finally {
      file.close()
    }
  }

  *#write(
    source: SegmentSource,
    name: string,
    fromBytes: number,
    endBytes: number,
  ): Generator<void, void> {
    const { log, platform } = this.#engine
    this.changedNames.add(source.name)
    const from = platform.openFile(log.path(source.name), 'read')
    const to = this.#target.platform.openFile(join(this.#target.directory, name), 'create')
    try {
      const chunk = new Uint8Array(chunkSizeBytes)
      for (let at = fromBytes; at < endBytes; at += chunk.byteLength) {
        const wanted = chunk.subarray(0, Math.min(chunk.byteLength, endBytes - at))
        const read = from.read(wanted, at)
        if (read < wanted.byteLength) {
          throw corrupt(log.path(source.name), at + read, 'the file is cut short')
        }
        to.write(wanted, at)
        this.bytesCopied += read
        yield
      }
      this.#writeMended(source, to, endBytes)
      // As long as it says it is: whoever maps it reads ahead. Nothing is written there any more.
      if (to.sizeBytes() < source.sizeBytes) to.write(new Uint8Array(1), source.sizeBytes - 1)
    } finally {
      from.close()
      to.close()
    }
  }

  /** What only memory has whole. */
  #writeMended(source: SegmentSource, to: PlatformFile, endBytes: number): void {
    const { log, mended } = this.#engine
    if (mended === undefined) return
    const part = mended.segmentNumber - source.segmentNumber
    const at = (part * log.segmentWords + mended.offset) * 8
    const bytes = new Uint8Array(
      mended.words.buffer,
      mended.words.byteOffset,
      mended.words.byteLength,
    )
    if (part >= 0 && at + bytes.byteLength <= endBytes) to.write(bytes, at)
  }

  #identityOf({ segmentNumber, epoch }: SegmentSource): SegmentIdentity {
    const { shift, storeId } = this.#engine.log
    return { storeId, shift, segmentNumber, epoch }
  }
}

function wordsOf(sizeBytes: number | undefined): number | undefined {
  return sizeBytes === undefined ? undefined : sizeBytes / 8
}

/** The value segment that the record looked at refers to, if it does. */
function collect(reader: SegmentReader, references: ValueReference[]): void {
  const { doubles, start, words } = reader
  if ((recordFlags(words, start) & flagReference) === 0) return
  const reference = start + recordValueOffset(words, start) / 4
  references.push({
    segmentNumber: doubles[reference / 2 + referenceSegmentDouble],
    valueSizeBytes: recordValueSize(words, start),
    checksum: words[reference + referenceChecksumWord],
  })
}
