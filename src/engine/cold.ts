/**
 * Reading what is not in memory off the event loop: a get of it would stand still until the medium
 * has answered. What a get of a key is going to touch is looked for, step by step: its bucket, the
 * record's header and key, the value. The first of these that is not resident is read from its file
 * by a thread of Node's pool, which brings it into the page cache, that is, into the mapping.
 *
 * Nothing depends on it: what was brought in may be gone again, or the key may have moved; the get
 * that follows is the one that answers. A medium that fails is an error here, and not a signal.
 */
import { systemErrorCode } from '../base/errors.js'
import { linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import { flagReference, recordHeaderSizeBytes, referenceSegmentDouble } from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { wordOf } from '../index/hash-index.js'
import {
  recordFlags,
  recordKeySize,
  recordSpan,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import type { PlatformFile } from '../platform/platform.js'
import type { Engine } from './engine.js'

/** A stretch of a file that is not in memory. */
interface ColdStretch {
  /** Open already, or to be opened by `path`. */
  readonly file: PlatformFile | undefined
  readonly path: string
  readonly position: number
  readonly sizeBytes: number
}

/** Threads of Node's pool are four: more would only wait there. */
const laneCount = 8
const keysPerTurn = 256
const pieceSizeBytes = 2 ** 20
/** Memory may be so short that what was read is gone before the next step. */
const stepsMax = 16
const bucketSizeBytes = 64

/** Brings in what gets of keys with these hashes need. */
export async function bringIn(engine: Engine, hashes: readonly number[]): Promise<void> {
  if (engine.platform.kind !== 'mmap') return
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < hashes.length) {
      const hash = hashes[next++]
      if (next % keysPerTurn === 0) await new Promise(setImmediate)
      for (let step = 0; step < stepsMax && !engine.isClosed; step++) {
        const stretch = findCold(engine, hash)
        if (stretch === undefined) break
        await readStretch(engine, stretch)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(laneCount, hashes.length) }, lane))
}

/** The first thing that a get would have to wait for. */
function findCold(engine: Engine, hash: number): ColdStretch | undefined {
  const { homes, overflows } = engine.index
  engine.index.adoptBucketCount()
  const home = engine.index.bucketOf(hash)
  if (!homes.isResident(home)) return bucketStretch(homes.file, home)
  let words = engine.index.wordsOf(home)
  for (let start = wordOf(home); ; ) {
    for (let entry = start; entry < start + versionWordInBucket; entry += 2) {
      if (words[entry] >>> 8 !== hash >>> 8) continue
      const stretch = findColdRecord(engine, words[entry], words[entry + 1])
      if (stretch !== undefined) return stretch
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) return undefined
    words = engine.index.overflowWordsOf(link)
    if (!overflows.isResident(link)) return bucketStretch(overflows.file, link)
    start = wordOf(link)
  }
}

function bucketStretch(file: PlatformFile, bucket: number): ColdStretch {
  const position = bucket * bucketSizeBytes
  return { file, path: file.path, position, sizeBytes: bucketSizeBytes }
}

/** `low` and `high` are the words of an entry, which may be changing. */
function findColdRecord(engine: Engine, low: number, high: number): ColdStretch | undefined {
  const { log } = engine
  if (high === 0 && (low & 0xff) === 0) return undefined
  const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  if (!log.isInUse(slot)) return undefined
  const offset = (high & log.offsetMask) * 8
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const words = log.words[slot]
  if (!log.isResident(slot, offset, recordHeaderSizeBytes)) {
    return segmentStretch(engine, slot, offset, recordHeaderSizeBytes)
  }
  const start = offset / 4
  const size = recordSpan(words, start) * 8
  // Not a record: the entry was read while it changed.
  if (offset + size > words.byteLength || recordKeySize(words, start) > size) return undefined
  if (!log.isResident(slot, offset, size)) return segmentStretch(engine, slot, offset, size)
  if ((recordFlags(words, start) & flagReference) === 0) return undefined
  const reference = (offset + recordValueOffset(words, start)) / 8
  const valueSlot = log.slotOf(log.doubles[slot][reference + referenceSegmentDouble])
  if (valueSlot === -1) return undefined
  if (log.words[valueSlot] === undefined) log.mapSlot(valueSlot)
  const valueSize = recordValueSize(words, start)
  if (log.isResident(valueSlot, segmentHeaderSizeBytes, valueSize)) return undefined
  return segmentStretch(engine, valueSlot, segmentHeaderSizeBytes, valueSize)
}

function segmentStretch(
  { log }: Engine,
  slot: number,
  offset: number,
  sizeBytes: number,
): ColdStretch {
  const first = log.firstSlotOf(slot)
  const position = (slot - first) * log.segmentSizeBytes + offset
  return { file: undefined, path: log.pathOf(first), position, sizeBytes }
}

async function readStretch(engine: Engine, stretch: ColdStretch): Promise<void> {
  const { path, position, sizeBytes } = stretch
  const target = new Uint8Array(Math.min(pieceSizeBytes, sizeBytes))
  let opened: PlatformFile | undefined
  try {
    opened = stretch.file === undefined ? engine.platform.openFile(path, 'read') : undefined
    const file = opened ?? stretch.file
    for (let done = 0; done < sizeBytes && !engine.isClosed; done += target.byteLength) {
      const size = Math.min(target.byteLength, sizeBytes - done)
      await file?.readAsync(target.subarray(0, size), position + done)
    }
  } catch (error) {
    // Removed since it was looked up: the key has moved. Closed: whoever asked is told by the get.
    if (systemErrorCode(error) !== 'ENOENT' && !engine.isClosed) throw error
  } finally {
    opened?.close()
  }
}
