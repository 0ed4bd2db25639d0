/**
 * salvage: every record of a damaged store that verifies goes into a new one. The damaged one is read
 * and never changed.
 *
 * Where the newest record of a key is lost, an older one that was saved stands in its place: of a
 * damaged delete, the key is back. Records of a batch that counts are saved one by one.
 */
import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { backupPlatform, requireOutside } from '../backup/backup-target.js'
import { checksumWords } from '../base/checksum.js'
import { StoreError } from '../base/errors.js'
import { registryKey } from '../engine/keyspaces.js'
import { lockFileName } from '../format/file-names.js'
import {
  batchCountWord,
  checksumWord,
  flagInBatch,
  flagReference,
  keySizeWord,
  kindWord,
  kindWordOf,
  recordHeaderSizeBytes,
  recordSizeWords,
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
  sequenceDouble,
  systemKeyspaceId,
  timestampDouble,
  typeBatch,
  typePut,
  typeTombstone,
  valueSizeWord,
  versionDouble,
} from '../format/record.js'
import { segmentHeaderSizeBytes, segmentSeed } from '../format/segment-header.js'
import {
  recordFlags,
  recordSpan,
  recordType,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { lookBad, lookBlank, lookLarge, SegmentReader } from '../log/segment-reader.js'
import { isKnownKind } from '../log/segment-scan.js'
import { walkSegment } from '../log/segment-walk.js'
import type { Platform } from '../platform/platform.js'
import { thisHolder } from '../recovery/session.js'
import { type Problem, Problems } from '../verify/problems.js'
import { inSlices } from '../verify/slices.js'
import { type DamagedStore, readDamagedStore, type SalvageSegment } from './damaged-store.js'
import { HeldBatch } from './held-batch.js'
import { type Loss, Losses } from './losses.js'
import { openPatiently } from './patient-file.js'
import { copyRecord, nameOf, type RecordName, type SavedRecord } from './saved-record.js'
import { SavedRegistry } from './saved-registry.js'
import { StoreWriter } from './store-writer.js'

export interface SalvageOptions {
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void
}

export interface SalvageReport {
  /** Records of the log that were saved, superseded ones included. */
  readonly recordsSaved: number
  /** What could not be saved: all of it, or very many. */
  readonly lost: readonly Loss[]
  readonly lostCount: number
  /** What is damaged and cost nothing. */
  readonly noted: readonly Problem[]
}

/**
 * `target` is empty or new. Killed in the middle, it is no store.
 *
 * Throws `STORE_NOT_FOUND` where there is nothing of a store, `STORE_EXISTS` where the target has
 * something in it, `STORE_LOCKED` where somebody has the damaged store open, `STORE_FORMAT` where it
 * is of a version that this one does not know, a RangeError where the target lies in the store.
 */
export async function salvage(
  path: string,
  target: string,
  options: SalvageOptions = {},
): Promise<SalvageReport> {
  const platform = backupPlatform()
  const directory = resolve(path)
  const targetDirectory = resolve(target)
  if (!platform.exists(directory) || !platform.isDirectory(directory)) {
    throw new StoreError('STORE_NOT_FOUND', `there is no directory ${directory}`, {
      details: { file: directory },
    })
  }
  requireOutside(directory, targetDirectory)
  requireEmpty(platform, targetDirectory)
  const lockPath = join(directory, lockFileName)
  // Nobody is to write meanwhile. No file is made for it: who has the store open has made one.
  const lock = platform.exists(lockPath) ? platform.lock(lockPath, 'read', thisHolder()) : undefined
  try {
    const lost = new Losses()
    const noted = new Problems()
    const store = readDamagedStore(platform, directory, { lost, noted })
    platform.createDirectory(targetDirectory)
    const salvager = new Salvager(platform, store, targetDirectory, lost)
    const totalBytes = store.log.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    await inSlices(salvager.run(), {
      bytes: () => salvager.bytes,
      maxBytesPerSecond: Number.POSITIVE_INFINITY,
      betweenSlices: () => options.onProgress?.({ bytes: salvager.bytes, totalBytes }),
    })
    return {
      recordsSaved: salvager.recordsSaved,
      lost: lost.listNamed(salvager.keyspaceNames()),
      lostCount: lost.count,
      noted: noted.list(),
    }
  } finally {
    lock?.release()
  }
}

function requireEmpty(platform: Platform, directory: string): void {
  if (!platform.exists(directory)) return
  const isDirectory = platform.isDirectory(directory)
  const [name] = isDirectory ? platform.list(directory) : []
  if (isDirectory && name === undefined) return
  const what = isDirectory ? `is not empty; it has ${name}` : 'is a file'
  throw new StoreError('STORE_EXISTS', `${directory} ${what}`, {
    details: { file: directory, what },
  })
}

class Salvager {
  bytes = 0
  recordsSaved = 0
  readonly #platform: Platform
  readonly #store: DamagedStore
  readonly #writer: StoreWriter
  readonly #lost: Losses
  readonly #registry = new SavedRegistry()
  readonly #batch = new HeldBatch()
  /** What counts and is still to be written. */
  #ready: SavedRecord[] = []
  #highestSequence = 0
  #highestVersion = 0

  constructor(platform: Platform, store: DamagedStore, target: string, lost: Losses) {
    this.#platform = platform
    this.#store = store
    this.#lost = lost
    const random = randomBytes(40)
    this.#writer = new StoreWriter(platform, target, {
      segmentShift: store.shift,
      storeId: Uint8Array.from(random.subarray(0, 16)),
      lineageId: Uint8Array.from(random.subarray(16, 32)),
      hashSeedLow: random.readInt32LE(32),
      hashSeedHigh: random.readInt32LE(36),
      createdAtMs: platform.nowMs(),
    })
  }

  *run(): Generator<void, void> {
    let epochBefore = 0
    for (const segment of this.#store.log) {
      // What a recovery cut is not followed by anything: the log went on elsewhere.
      if (segment.epoch !== epochBefore) this.#dropBatch()
      epochBefore = segment.epoch
      yield* this.#readSegment(segment)
      yield* this.#saveReady()
    }
    this.#dropBatch()
    this.#nameLostKeyspaces()
    this.#writer.finish()
  }

  /** Names by id, as far as they were saved. */
  keyspaceNames(): Map<number, string> {
    return this.#registry.names()
  }

  *#readSegment(segment: SalvageSegment): Generator<void, void> {
    const { mended, shift, storeId } = this.#store
    const { endBytes, epoch, path, segmentNumber, sizeBytes } = segment
    const before = this.bytes
    const file = openPatiently(this.#platform, path, this.#lost)
    try {
      const identity = { storeId, shift, segmentNumber, epoch }
      const isNamed = endBytes !== undefined
      const reader = new SegmentReader(file, identity, sizeBytes, isNamed ? undefined : mended)
      const end = Math.min((endBytes ?? sizeBytes) / 8, reader.endOffset)
      const isCut = isNamed ? end * 8 < endBytes : sizeBytes < segment.wholeSizeBytes
      if (isCut) this.#lost.add(path, end * 8, 'the file is cut short')
      const syncedOffset = this.#syncedOffset(segment)
      this.#batch.interrupt()
      const steps = walkSegment(reader, firstRecordOffset, end, {
        record: (_, offset) => this.#take(reader, offset, segment),
        damage: (offset, next, what) => {
          this.#batch.interrupt()
          // A blank place that nothing follows is the end, unless it is known that more was there.
          const isEnd = !isNamed && next === end && offset >= syncedOffset
          if (isEnd && reader.look(offset) === lookBlank) return
          const name = nameOfDamaged(reader, offset, next)
          this.#lost.addRecord(path, offset * 8, `${what} (up to ${next * 8})`, name)
        },
        isWholeAfterAll: () => false,
      })
      while (steps.next().done !== true) {
        yield* this.#saveReady()
        this.bytes = before + Math.min(reader.bytesRead, sizeBytes)
        yield
      }
      // All that lies before the end that a manifest names counts.
      if (isNamed) this.#makeReady(this.#batch.release())
    } finally {
      file.close()
    }
    this.bytes = before + sizeBytes
  }

  /** Where in the segment that syncs had come to they had come to; 0 in any other. */
  #syncedOffset({ segmentNumber, wholeSizeBytes }: SalvageSegment): number {
    const { durable, shift } = this.#store
    const offset = durable - segmentNumber * 2 ** shift
    return offset * 8 <= wholeSizeBytes ? Math.max(0, offset) : 0
  }

  /** Copies a record that verifies, if it is one of a key. */
  #take(reader: SegmentReader, offset: number, segment: SalvageSegment): void {
    const { doubles, start, words } = reader
    const { cutSequence, endBytes, path, segmentNumber } = segment
    const isNamed = endBytes !== undefined
    if (!isNamed && doubles[start / 2 + sequenceDouble] >= cutSequence) return
    // The walk has said that it is not known.
    if (!isKnownKind(words, start)) return
    const type = recordType(words, start)
    const isInBatch = (recordFlags(words, start) & flagInBatch) !== 0
    // The log goes on behind a batch only where the batch counts.
    if (!isInBatch) this.#makeReady(this.#batch.release())
    if (type === typeBatch) {
      this.#batch.begin(words[start + recordHeaderSizeBytes / 4 + batchCountWord] >>> 0)
    }
    if (type !== typePut && type !== typeTombstone) return
    const name = nameOf(words, start)
    const size = recordSpan(words, start) - (words[start + keySizeWord] >>> 16)
    const record = copyRecord(reader, offset, size)
    if (record === undefined) {
      this.#lost.addRecord(path, offset * 8, 'a record is not the same when it is read again', name)
      return
    }
    const isSynced = segmentNumber * 2 ** this.#store.shift + offset < this.#store.durable
    this.#makeReady(isInBatch && !isSynced ? this.#batch.add(record) : [record])
  }

  #makeReady(records: readonly SavedRecord[]): void {
    for (const record of records) this.#ready.push(record)
  }

  #dropBatch(): void {
    for (const { address, file, words } of this.#batch.release()) {
      const what = 'a record of a batch that may never have been committed'
      this.#lost.addRecord(file, address, what, nameOf(words, 0))
    }
  }

  *#saveReady(): Generator<void, void> {
    const ready = this.#ready
    this.#ready = []
    for (const record of ready) {
      const { doubles, size, words } = record
      if ((recordFlags(words, 0) & flagReference) !== 0 && !this.#saveValue(record)) continue
      this.#highestSequence = Math.max(this.#highestSequence, doubles[sequenceDouble])
      this.#highestVersion = Math.max(this.#highestVersion, doubles[versionDouble])
      this.#registry.note(record)
      this.#writer.append(words, doubles, size)
      if (++this.recordsSaved % recordsPerStep === 0) yield
    }
  }

  /** False where the value is lost. */
  #saveValue({ address, doubles, file, words }: SavedRecord): boolean {
    const { storeId, values } = this.#store
    const name = nameOf(words, 0)
    const reference = recordValueOffset(words, 0) / 8
    const segmentNumber = doubles[reference + referenceSegmentDouble]
    const segment = values.get(segmentNumber)
    if (segment === undefined) {
      const what = `the value, in segment ${segmentNumber}, is missing`
      this.#lost.addRecord(file, address, what, name)
      return false
    }
    const sizeBytes = recordValueSize(words, 0)
    const value = this.#readValue(segment.path, sizeBytes)
    const seed = segmentSeed(storeId, doubles[reference + referenceEpochDouble], segmentNumber)
    const checksum = value && checksumWords(value, 0, Math.ceil(sizeBytes / 4), seed)
    if (value === undefined || checksum !== words[reference * 2 + referenceChecksumWord]) {
      const what = 'the value does not match its checksum'
      this.#lost.addRecord(segment.path, segmentHeaderSizeBytes, what, name)
      return false
    }
    this.#writer.putValue(value, sizeBytes, words, doubles)
    return true
  }

  /** Zero-padded. Undefined where the file is shorter. */
  #readValue(path: string, sizeBytes: number): Int32Array | undefined {
    const file = openPatiently(this.#platform, path, this.#lost)
    try {
      if (file.sizeBytes() < segmentHeaderSizeBytes + sizeBytes) return undefined
      const bytes = new Uint8Array(Math.ceil(sizeBytes / 8) * 8)
      file.read(bytes.subarray(0, sizeBytes), segmentHeaderSizeBytes)
      return new Int32Array(bytes.buffer)
    } finally {
      file.close()
    }
  }

  #nameLostKeyspaces(): void {
    const { count, isDefaultLost, text } = this.#registry.nameLost()
    const { directory } = this.#store
    if (isDefaultLost) this.#lost.add(directory, 0, 'the encodings of the default keyspace')
    if (count === 0) return
    this.#lost.add(directory, 0, `the names of ${count} keyspaces`)
    this.#writeRegistry(text)
  }

  #writeRegistry(text: string): void {
    const key = Buffer.from(registryKey)
    const value = Buffer.from(text)
    const size = recordSizeWords(key.byteLength, value.byteLength, 0)
    const bytes = Buffer.from(new ArrayBuffer(size * 8))
    const words = new Int32Array(bytes.buffer)
    const doubles = new Float64Array(bytes.buffer)
    doubles[versionDouble] = this.#highestVersion + 1
    doubles[sequenceDouble] = this.#highestSequence + 1
    doubles[timestampDouble] = this.#platform.nowMs()
    words[kindWord] = kindWordOf(typePut, 0, systemKeyspaceId)
    words[valueSizeWord] = value.byteLength
    words[keySizeWord] = key.byteLength
    words[checksumWord] = 0
    key.copy(bytes, recordHeaderSizeBytes)
    value.copy(bytes, recordValueOffset(words, 0))
    this.#writer.append(words, doubles, size)
  }
}

/** Between two turns of the event loop. */
const recordsPerStep = 256

/** Whose record the damaged one was, where its sizes lead to the next one, and so to its key. */
function nameOfDamaged(
  reader: SegmentReader,
  offset: number,
  next: number,
): RecordName | undefined {
  if (!reader.isPlausible(offset)) return undefined
  const found = reader.look(offset)
  if (found !== lookBad && found !== lookLarge) return undefined
  const { span, start, words } = reader
  const type = recordType(words, start)
  if (offset + span !== next || (type !== typePut && type !== typeTombstone)) return undefined
  return nameOf(words, start)
}
