/**
 * Opening on the boot that wrote the volatile parts: memory is as the last instruction left it.
 * What was announced is finished, what is not yet durable is verified, and the store goes on.
 * Milliseconds at any size.
 *
 * Believed only if boot, mount and every file's identity are the ones that were signed, nothing was
 * poisoned, and everything in [durable, tail) verifies; a copied, restored or remounted directory
 * goes the other way.
 */
import { join } from 'node:path'
import { assert } from '../base/assert.js'
import { StoreError } from '../base/errors.js'
import { type Engine, nothingReplayed } from '../engine/engine.js'
import { repair } from '../engine/repair.js'
import * as layout from '../format/control-layout.js'
import { addToDigest } from '../format/digest.js'
import {
  checkpointNextFileName,
  controlFileName,
  isPreparedFileName,
  parseSegmentFileName,
  segmentFileName,
} from '../format/file-names.js'
import {
  batchFrameSizeWords,
  checksumWord,
  flagInBatch,
  keySizeWord,
  markerSizeWords,
  recordHeaderWords,
  typeBatch,
  typeMarker,
  typeNone,
} from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import { segmentSizeOf } from '../format/superblock.js'
import { recordFlags, recordSpan, recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import {
  kindLog,
  kindPart,
  slotDevice,
  slotInode,
  slotKind,
  slotNumber,
  slotSizeBytes,
} from '../log/slot-table.js'
import { attachAlone } from './attach.js'
import { decide, type Facts, openingRows } from './decision.js'
import { makeEngine, type StoreFiles, startSession } from './make-engine.js'
import { requireOwnSegment } from './segment-files.js'
import { readUnfinishedUpdate } from './unfinished-update.js'
import {
  areOfThisBoot,
  closeVolatileParts,
  isSigned,
  openVolatileParts,
  type VolatileParts,
  volatilePartsExist,
} from './volatile-parts.js'

export interface Opened {
  /** Undefined where the log has to be read again. */
  readonly engine: Engine | undefined
  /** The label of the row that took it. */
  readonly row: string
}

/** Asks the table of openings. `attach` gives the engine of a store that somebody has open. */
export function openFromMemory(files: StoreFiles, attach: () => Engine | undefined): Opened {
  const memory = new Memory(files)
  try {
    return decideFromMemory(files, memory, attach)
  } catch (error) {
    // Its entry among the attachments must not stay locked.
    memory.giveBack()
    throw error
  }
}

function decideFromMemory(
  files: StoreFiles,
  memory: Memory,
  attach: () => Engine | undefined,
): Opened {
  let attached: Engine | undefined
  const { action, label } = decide(openingRows, {
    others: () => {
      attached = attach()
      return attached === undefined ? 'nobody' : 'alive'
    },
    control: () => memory.control(),
    poison: () => (memory.parts.control.isPoisoned ? 'set' : 'clear'),
    segments: () => (segmentsAreSame(files, memory.parts) ? 'same' : 'changed'),
    files: () => (files.platform.kind === 'file' ? 'unmapped' : 'mapped'),
    session: () => (memory.parts.control.isSessionOpen ? 'open' : 'closed'),
    pending: () => memory.pending(),
    tail: () => (tailVerifies(memory.takeOver()) ? 'verifies' : 'fails'),
  })
  if (action === 'attach') return { engine: attached, row: label }
  if (action === 'go-on' || action === 'finish') {
    return { engine: memory.goOn(label), row: label }
  }
  if (action === 'refuse') throw unfinishedElsewhere(files.directory)
  memory.giveBack()
  return { engine: undefined, row: label }
}

/** The volatile parts as they were found, and the engine over them. */
class Memory {
  readonly #files: StoreFiles
  #parts: VolatileParts | undefined
  #engine: Engine | undefined

  constructor(files: StoreFiles) {
    this.#files = files
  }

  get parts(): VolatileParts {
    assert(this.#parts !== undefined, 'there is a control file')
    return this.#parts
  }

  control(): Facts['control'] {
    const { access, directory, manifest, platform, superblock } = this.#files
    if (!volatilePartsExist(platform, directory)) return 'missing'
    const mode = access === 'private' || platform.kind === 'file' ? 'read' : 'write'
    const parts = openVolatileParts(platform, directory, segmentSizeOf(superblock), mode)
    this.#parts = parts
    const identity = { directory, storeId: superblock.storeId, epoch: manifest.epoch }
    const isOfEpoch = parts.control.doubles[layout.epochDouble] === manifest.epoch
    if (!isSigned(parts, superblock.storeId) || !isOfEpoch) return 'foreign'
    return areOfThisBoot(parts, platform, identity) ? 'this-boot' : 'other-boot'
  }

  pending(): Facts['pending'] {
    const kind = this.parts.control.get(layout.pendingKind)
    return kind === layout.changeNone ? 'none' : 'announced'
  }

  /** From here on the state is adopted, and what it announces is made. */
  takeOver(): Engine {
    const files = this.#files
    const { access, manifest } = files
    const { parts } = this
    const wasClosed = !parts.control.isSessionOpen
    files.announceChange(false)
    if (access === 'shared') attachAlone(files, parts)
    const engine = makeEngine(files, parts, manifest.epoch, {
      kind: wasClosed ? 'clean' : 'same-boot',
      rows: [],
      ...nothingReplayed,
    })
    this.#engine = engine
    if (access === 'private') engine.mended = readUnfinishedUpdate(parts)
    // What was closed is whole. One that may not write then sees what others will write.
    if (access === 'shared' || !wasClosed) repair(engine, wasClosed)
    else adoptClosed(engine)
    return engine
  }

  goOn(row: string): Engine {
    const files = this.#files
    const engine = this.#engine ?? this.takeOver()
    engine.lastRecovery = { ...engine.lastRecovery, rows: [row] }
    if (files.access === 'shared') {
      removeUnused(engine)
      startSession(files, this.parts, files.manifest.epoch)
    }
    return engine
  }

  giveBack(): void {
    this.#engine?.log.close()
    if (this.#parts !== undefined) closeVolatileParts(this.#parts)
  }
}

function adoptClosed(engine: Engine): void {
  engine.index.adoptBucketCount()
  engine.log.adoptTail()
}

/** In file mode the index is not shared memory: a killed mapped session cannot be finished here. */
function unfinishedElsewhere(directory: string): StoreError {
  return new StoreError(
    'STORE_IN_USE',
    `the process that had ${directory} mapped into memory was killed; open it once with mapping: "mmap", or after a restart of the machine`,
    { details: { file: join(directory, controlFileName) } },
  )
}

function segmentsAreSame(files: StoreFiles, parts: VolatileParts): boolean {
  const { directory, platform } = files
  const { control, slots } = parts
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    const number = slots.get(slot, slotNumber)
    const kind = slots.get(slot, slotKind)
    if (number === 0 || kind === kindPart) continue
    const path = join(directory, segmentFileName(slots.fileKindOf(slot), number))
    if (!platform.exists(path)) return false
    const file = platform.openFile(path, 'read')
    try {
      const { device, inode } = file.identity()
      if (device !== slots.get(slot, slotDevice) || inode !== slots.get(slot, slotInode)) {
        return false
      }
      if (file.sizeBytes() < slots.get(slot, slotSizeBytes)) return false
    } finally {
      file.close()
    }
  }
  return true
}

/** Checks every record in [durable, tail), and the digest since the last marker. */
function tailVerifies(engine: Engine): boolean {
  const { control, log } = engine
  const tail = control.get(layout.tail)
  const durable = control.get(layout.durable)
  const lastMarker = control.get(layout.lastMarker)
  const digest = { low: 0, high: 0 }
  let address = durable
  for (const slot of unsyncedLogSlots(engine)) {
    if (log.words[slot] === undefined) log.mapSlot(slot)
    address = Math.max(address, log.starts[slot] + firstRecordOffset)
    const end = Math.min(tail, log.starts[slot] + log.slots.get(slot, slotSizeBytes) / 8)
    while (address < end) {
      const part = Math.floor((address - log.starts[slot]) / log.segmentWords)
      const offset = address - log.starts[slot] - part * log.segmentWords
      const words = log.words[slot + part]
      if (address + recordHeaderWords / 2 > end) break
      if (recordType(words, offset * 2) === typeNone) break
      const checksum = verifyRecord(words, offset, log.seeds[slot + part])
      if (checksum === undefined) return false
      const type = recordType(words, offset * 2)
      if (type !== typeMarker && address > lastMarker) addToDigest(digest, checksum)
      address += type === typeBatch ? batchFrameSizeWords : recordSpan(words, offset * 2)
    }
  }
  if (address !== tail) return false
  // After a marker whose flush was completed the digest covers exactly these records.
  if (lastMarker !== 0 && lastMarker < durable - markerSizeWords) return true
  return (
    digest.low === control.get(layout.digestLow) && digest.high === control.get(layout.digestHigh)
  )
}

/** The log segments that hold bytes at or behind `durable`, in order. */
function unsyncedLogSlots(engine: Engine): number[] {
  const { control, log } = engine
  const durable = control.get(layout.durable)
  const found: number[] = []
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    if (log.slots.get(slot, slotKind) !== kindLog) continue
    const end = log.slots.get(slot, slotNumber) + log.partCount(slot)
    if (end * log.segmentWords > durable) found.push(slot)
  }
  return found.sort((a, b) => log.slots.get(a, slotNumber) - log.slots.get(b, slotNumber))
}

/** The checksum of a record that verifies. */
function verifyRecord(words: Int32Array, offset: number, segmentSeed: number): number | undefined {
  const start = offset * 2
  const size = recordSpan(words, start) - (words[start + keySizeWord] >>> 16)
  const isInBatch = (recordFlags(words, start) & flagInBatch) !== 0
  const seed = recordSeed(segmentSeed, offset, isInBatch)
  const checksum = words[start + checksumWord]
  return checksumRecord(words, start, size * 2, seed) === checksum ? checksum : undefined
}

/** Segment files that were being made when their maker died: no slot names them. */
function removeUnused(engine: Engine): void {
  const { directory, log, platform } = engine
  for (const name of platform.list(directory)) {
    const parsed = parseSegmentFileName(name)
    const isUnused = parsed !== undefined && log.slotOf(parsed.segmentNumber) === -1
    if (isUnused) requireOwnSegment(platform, join(directory, name), log.storeId)
    const isLeftover = isPreparedFileName(name) || name === checkpointNextFileName
    if (isUnused || isLeftover) platform.remove(join(directory, name))
  }
}
