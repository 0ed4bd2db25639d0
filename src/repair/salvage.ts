/**
 * salvage: every record of a damaged store that verifies goes into a new one. The damaged one is read
 * and never changed.
 *
 * Where the newest record of a key is lost, an older one that was saved stands in its place: of a
 * damaged delete, the key is back. Records of a batch count one by one; those whose frame is not there,
 * and behind which nothing else was written, may never have been committed and are left out.
 */
import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { backupPlatform } from '../backup/backup-target.js'
import { StoreError } from '../base/errors.js'
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
  recordHeaderWords,
  recordSizeWords,
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
  sequenceDouble,
  systemKeyspaceId,
  typeBatch,
  typePut,
  typeTombstone,
  valueSizeWord,
  versionDouble,
} from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import {
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { lookBlank, SegmentReader } from '../log/segment-reader.js'
import { walkSegment } from '../log/segment-walk.js'
import { lockedBy } from '../platform/lock.js'
import type { Lock, Platform } from '../platform/platform.js'
import { type Problem, Problems } from '../verify/problems.js'
import { inSlices } from '../verify/slices.js'
import { type DamagedStore, readDamagedStore, type SalvageSegment } from './damaged-store.js'
import { StoreWriter } from './store-writer.js'

export interface SalvageOptions {
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void
}

export interface SalvageReport {
  /** Records of the log that were saved, superseded ones included. */
  readonly recordsSaved: number
  /** What could not be saved. */
  readonly lost: readonly Problem[]
  /** What is damaged and cost nothing. */
  readonly noted: readonly Problem[]
}

/** `target` is empty or new. */
export async function salvage(
  path: string,
  target: string,
  options: SalvageOptions = {},
): Promise<SalvageReport> {
  const platform = backupPlatform()
  const directory = resolve(path)
  if (!platform.exists(directory) || !platform.isDirectory(directory)) {
    throw new StoreError('STORE_NOT_FOUND', `there is no directory ${directory}`, {
      details: { file: directory },
    })
  }
  const targetDirectory = resolve(target)
  if (platform.exists(targetDirectory) && platform.list(targetDirectory).length > 0) {
    throw new StoreError('STORE_EXISTS', `${targetDirectory} is not empty`, {
      details: { file: targetDirectory },
    })
  }
  const lock = lockSource(platform, directory)
  try {
    const lost = new Problems()
    const noted = new Problems()
    const store = readDamagedStore(platform, directory, lost, noted)
    platform.createDirectory(targetDirectory)
    const salvager = new Salvager(platform, store, targetDirectory, lost)
    const totalBytes = store.log.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    await inSlices(salvager.run(), {
      bytes: () => salvager.bytes,
      maxBytesPerSecond: Number.POSITIVE_INFINITY,
      betweenSlices: () => options.onProgress?.({ bytes: salvager.bytes, totalBytes }),
    })
    return { recordsSaved: salvager.recordsSaved, lost: lost.list(), noted: noted.list() }
  } finally {
    lock?.release()
  }
}

/** Nobody is to write meanwhile. No file is made for it. */
function lockSource(platform: Platform, directory: string): Lock | undefined {
  const path = join(directory, lockFileName)
  if (!platform.exists(path)) return undefined
  if (platform.kind === 'file') return platform.lock(path, 'read', noHolder)
  const lock = platform.tryLock(path, 'exclusive')
  if (lock === undefined) throw lockedBy(path, platform.holders.read(path))
  return lock
}

const noHolder = { processId: process.pid, threadId: 0, hostname: '', since: '' }

/** A record of its own memory. */
interface SavedRecord {
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly size: number
  readonly file: string
  readonly address: number
}

const registryKey = 'keyspaces'

class Salvager {
  bytes = 0
  recordsSaved = 0
  readonly #platform: Platform
  readonly #store: DamagedStore
  readonly #writer: StoreWriter
  readonly #lost: Problems
  readonly #keyspaceIds = new Set<number>()
  #registry: { readonly sequence: number; readonly text: string } | undefined
  #highestSequence = 0
  #highestVersion = 0
  /** Records of the batch whose frame was met that are still to come. */
  #framedCount = 0
  /** Records of batches whose frames are not there, until something behind them shows they counted. */
  #unframed: SavedRecord[] = []

  constructor(platform: Platform, store: DamagedStore, target: string, lost: Problems) {
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
    for (const segment of this.#store.log) yield* this.#readSegment(segment)
    this.#nameLostKeyspaces()
    this.#writer.finish()
  }

  *#readSegment(segment: SalvageSegment): Generator<void, void> {
    const { mended, shift, storeId } = this.#store
    const { endBytes, epoch, path, segmentNumber, sizeBytes } = segment
    const before = this.bytes
    const file = this.#platform.openFile(path, 'read')
    try {
      const identity = { storeId, shift, segmentNumber, epoch }
      const isNamed = endBytes !== undefined
      const reader = new SegmentReader(file, identity, sizeBytes, isNamed ? undefined : mended)
      const end = Math.min((endBytes ?? sizeBytes) / 8, reader.endOffset)
      if (isNamed && end * 8 < endBytes) this.#lost.add(path, end * 8, 'the file is cut short')
      const pending: SavedRecord[] = []
      const steps = walkSegment(reader, firstRecordOffset, end, {
        record: (_, offset) => {
          this.#take(reader, offset, path, pending)
        },
        damage: (offset, next, what) => {
          // A blank place that nothing follows is the end, unless the manifest knows better.
          const isBlank = !isNamed && next === end && isBlankAt(reader, offset)
          if (!isBlank) this.#lost.add(path, offset * 8, `${what} (up to ${next * 8})`)
        },
        isWholeAfterAll: (look) => look(),
      })
      for (;;) {
        const step = steps.next()
        for (const record of pending.splice(0)) yield* this.#save(record)
        this.bytes = before + reader.bytesRead
        if (step.done === true) break
        yield
      }
    } catch (error) {
      this.#lost.addFailure(path, 0, error)
    } finally {
      file.close()
    }
    this.#dropUnframed()
    this.bytes = before + sizeBytes
  }

  /** Copies a record that verifies; those that are to be written go to `pending`. */
  #take(reader: SegmentReader, offset: number, path: string, pending: SavedRecord[]): void {
    const { start, words } = reader
    const type = recordType(words, start)
    const isInBatch = (recordFlags(words, start) & flagInBatch) !== 0
    if (type === typeBatch) {
      this.#framedCount = words[start + recordHeaderSizeBytes / 4 + batchCountWord] >>> 0
    }
    if (!isInBatch) {
      if (type !== typeBatch) this.#framedCount = 0
      // The log went on behind them, which it only does behind a batch that counts.
      pending.push(...this.#unframed)
      this.#unframed = []
    }
    if (type !== typePut && type !== typeTombstone) return
    const size = recordSpan(words, start) - (words[start + keySizeWord] >>> 16)
    const bytes = new Uint8Array(size * 8)
    const first = start * 4
    if (start + size * 2 <= words.length) {
      bytes.set(new Uint8Array(words.buffer, first, size * 8))
    } else {
      reader.file.read(bytes, offset * 8)
    }
    const record = {
      words: new Int32Array(bytes.buffer),
      doubles: new Float64Array(bytes.buffer),
      size,
      file: path,
      address: offset * 8,
    }
    if (!isInBatch) {
      pending.push(record)
    } else if (this.#framedCount > 0) {
      this.#framedCount--
      pending.push(record)
    } else {
      this.#unframed.push(record)
    }
  }

  #dropUnframed(): void {
    for (const { address, file } of this.#unframed) {
      this.#lost.add(file, address, 'a record of a batch that may never have been committed')
    }
    this.#unframed = []
  }

  *#save(record: SavedRecord): Generator<void, void> {
    const { doubles, size, words } = record
    if ((recordFlags(words, 0) & flagReference) !== 0 && !(yield* this.#saveValue(record))) return
    this.#highestSequence = Math.max(this.#highestSequence, doubles[sequenceDouble])
    this.#highestVersion = Math.max(this.#highestVersion, doubles[versionDouble])
    const keyspaceId = recordKeyspace(words, 0)
    if (keyspaceId === systemKeyspaceId) this.#noteRegistry(record)
    else this.#keyspaceIds.add(keyspaceId)
    this.#writer.append(words, doubles, size)
    this.recordsSaved++
  }

  /** False where the value is lost. */
  *#saveValue({ address, doubles, file, words }: SavedRecord): Generator<void, boolean> {
    const { shift, storeId, values } = this.#store
    const reference = recordValueOffset(words, 0) / 8
    const segmentNumber = doubles[reference + referenceSegmentDouble]
    const epoch = doubles[reference + referenceEpochDouble]
    const sizeBytes = recordValueSize(words, 0)
    const segment = values.get(segmentNumber)
    if (segment === undefined) {
      this.#lost.add(file, address, `the value in segment ${segmentNumber} is missing`)
      return false
    }
    try {
      const source = this.#platform.openFile(segment.path, 'read')
      try {
        const identity = { storeId, shift, segmentNumber, epoch }
        const reader = new SegmentReader(source, identity, segment.sizeBytes)
        const checksum = yield* reader.checksumValue(sizeBytes)
        if (checksum !== words[reference * 2 + referenceChecksumWord]) {
          this.#lost.add(
            segment.path,
            segmentHeaderSizeBytes,
            'the value does not match its checksum',
          )
          return false
        }
        const value = new Uint8Array(Math.ceil(sizeBytes / 8) * 8)
        source.read(value.subarray(0, sizeBytes), segmentHeaderSizeBytes)
        this.#writer.putValue(new Int32Array(value.buffer), sizeBytes, words, doubles)
        return true
      } finally {
        source.close()
      }
    } catch (error) {
      this.#lost.addFailure(segment.path, 0, error)
      return false
    }
  }

  #noteRegistry({ doubles, words }: SavedRecord): void {
    const sequence = doubles[sequenceDouble]
    if (recordType(words, 0) !== typePut || sequence < (this.#registry?.sequence ?? 0)) return
    const keyStart = recordHeaderWords * 4
    const bytes = Buffer.from(words.buffer, words.byteOffset)
    if (bytes.toString('utf8', keyStart, keyStart + recordKeySize(words, 0)) !== registryKey) return
    const valueStart = recordValueOffset(words, 0)
    const text = bytes.toString('utf8', valueStart, valueStart + recordValueSize(words, 0))
    this.#registry = { sequence, text }
  }

  /** Keyspaces that no registry which was saved knows get names, so that they can be read, as bytes. */
  #nameLostKeyspaces(): void {
    const registry = this.#registry === undefined ? noRegistry : JSON.parse(this.#registry.text)
    const unknown = [...this.#keyspaceIds].filter((id) => id !== 0 && id >= registry.nextId)
    if (unknown.length === 0) return
    for (const id of unknown) {
      registry.keyspaces[`salvaged-${id}`] = { id, encoding: 'binary', keyEncoding: 'binary' }
      registry.nextId = Math.max(registry.nextId, id + 1)
    }
    this.#lost.add('the registry of keyspaces', 0, `the names of ${unknown.length} keyspaces`)
    this.#writeRegistry(JSON.stringify(registry))
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
    words[kindWord] = kindWordOf(typePut, 0, systemKeyspaceId)
    words[valueSizeWord] = value.byteLength
    words[keySizeWord] = key.byteLength
    words[checksumWord] = 0
    key.copy(bytes, recordHeaderSizeBytes)
    value.copy(bytes, recordValueOffset(words, 0))
    this.#writer.append(words, doubles, size)
  }
}

const noRegistry = { nextId: systemKeyspaceId + 1, keyspaces: {} as Record<string, object> }

function isBlankAt(reader: SegmentReader, offset: number): boolean {
  return reader.look(offset) === lookBlank
}
