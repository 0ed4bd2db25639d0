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
import { StoreError } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import { repair } from '../engine/repair.js'
import * as layout from '../format/control-layout.js'
import {
  controlFileName,
  parseSegmentFileName,
  preparedSegmentFileName,
  segmentFileName,
} from '../format/file-names.js'
import {
  batchFrameSizeWords,
  checksumWord,
  flagInBatch,
  keySizeWord,
  typeBatch,
  typeMarker,
  typeNone,
} from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import { recordFlags, recordSpan, recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import {
  kindPart,
  kindValue,
  slotDevice,
  slotInode,
  slotKind,
  slotNumber,
  slotSizeBytes,
} from '../log/slot-table.js'
import { makeEngine, type StoreFiles, startSession } from './make-engine.js'
import {
  areOfThisBoot,
  closeVolatileParts,
  openVolatileParts,
  type VolatileParts,
  volatilePartsExist,
} from './volatile-parts.js'

/** The engine, or undefined where the log has to be read again. */
export function recoverOnSameBoot(files: StoreFiles): Engine | undefined {
  const { directory, manifest, options, platform, superblock } = files
  if (!volatilePartsExist(platform, directory)) return undefined
  const mode = options.readOnly || platform.kind === 'file' ? 'read' : 'write'
  const parts = openVolatileParts(platform, directory, mode)
  const identity = { directory, storeId: superblock.storeId, epoch: manifest.epoch }
  const isTrusted =
    areOfThisBoot(parts, platform, identity) &&
    !parts.control.isPoisoned &&
    segmentsAreSame(files, parts)
  if (isTrusted && platform.kind === 'file') {
    refuseUnfinished(parts, directory)
  }
  if (!isTrusted || platform.kind === 'file') {
    closeVolatileParts(parts)
    return undefined
  }
  const wasClosed = !parts.control.isSessionOpen
  const engine = makeEngine(files, parts, manifest.epoch, {
    kind: wasClosed ? 'clean' : 'same-boot',
    recordsReplayed: 0,
    bytesDropped: 0,
  })
  repair(engine, wasClosed)
  if (!wasClosed && !tailVerifies(engine)) {
    engine.log.close()
    closeVolatileParts(parts)
    return undefined
  }
  if (!options.readOnly) {
    removeUnused(engine)
    startSession(files, parts, manifest.epoch)
  }
  return engine
}

/** In file mode the index is not shared memory: a killed mapped session cannot be finished here. */
function refuseUnfinished(parts: VolatileParts, directory: string): void {
  if (!parts.control.isSessionOpen) return
  closeVolatileParts(parts)
  throw new StoreError(
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
    const path = join(directory, segmentFileName(kind === kindValue ? 'value' : 'log', number))
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
  const lastMarker = control.get(layout.lastMarker)
  let low = 0
  let high = 0
  let address = control.get(layout.durable)
  while (address < tail) {
    const { slot, offset } = log.locate(address)
    const words = log.words[slot]
    const start = offset * 2
    const isAtEnd = offset >= log.slots.get(log.firstSlotOf(slot), slotSizeBytes) / 8
    if (isAtEnd || recordType(words, start) === typeNone) {
      const next = nextLogSegment(engine, slot)
      if (next === 0) return false
      address = next
      continue
    }
    const flags = recordFlags(words, start)
    const span = recordSpan(words, start)
    const size = span - (words[start + keySizeWord] >>> 16)
    const seed = recordSeed(log.seeds[slot], offset, (flags & flagInBatch) !== 0)
    const checksum = words[start + checksumWord]
    if (checksumRecord(words, start, size * 2, seed) !== checksum) return false
    const type = recordType(words, start)
    if (type !== typeMarker && address > lastMarker) {
      low += checksum >>> 0
      high = (high + Math.floor(low / 2 ** 32)) % 2 ** 32
      low %= 2 ** 32
    }
    address += type === typeBatch ? batchFrameSizeWords : span
  }
  if (lastMarker < control.get(layout.durable) && lastMarker !== 0) {
    // The digest then covers records before `durable` as well: nothing to hold it against.
    return address === tail
  }
  return (
    address === tail &&
    low === control.get(layout.digestLow) &&
    high === control.get(layout.digestHigh)
  )
}

/** The address of the first record of the log segment made after the one in `slot`; 0 for none. */
function nextLogSegment(engine: Engine, slot: number): number {
  const { control, log } = engine
  const number = log.slots.get(slot, slotNumber)
  let best = Number.POSITIVE_INFINITY
  const slotEnd = control.get(layout.slotEnd)
  for (let other = 0; other < slotEnd; other++) {
    const kind = log.slots.get(other, slotKind)
    const candidate = log.slots.get(other, slotNumber)
    if (kind !== kindValue && kind !== kindPart && candidate > number && candidate < best) {
      best = candidate
    }
  }
  return best === Number.POSITIVE_INFINITY ? 0 : best * log.segmentWords + firstRecordOffset
}

/** Segment files that were being made when their maker died: no slot names them. */
function removeUnused(engine: Engine): void {
  const { directory, log, platform } = engine
  for (const name of platform.list(directory)) {
    const parsed = parseSegmentFileName(name)
    const isUnused = parsed !== undefined && log.slotOf(parsed.segmentNumber) === -1
    if (isUnused || name === preparedSegmentFileName) platform.remove(join(directory, name))
  }
}
