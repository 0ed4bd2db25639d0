/**
 * Reading: the newest value of the key at hand.
 *
 * No lock is taken. The home bucket's version is read before the chain and again after the value
 * was copied; where it moved, or was odd, the read is made once more. A miss counts only if the
 * table did not grow meanwhile: the key may have moved to the new bucket.
 * Hot path: `bench/compare`, rows "random get", "random getInto", "missing get", "hot get".
 */
import { StoreError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import { fence } from '../base/shared-words.js'
import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { flagExpiry, flagReference, kindWord, typePut } from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { recordFlags, recordValueOffset, recordValueSize } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { enter, leave } from './exclusive.js'
import { hashKey, probe } from './probe.js'
import { mapReference } from './reference.js'
import { isExpiredAt, noteSeen, timeNow } from './time.js'
import { verifyFound, verifyMissing } from './verified-read.js'

const expiryInKindWord = flagExpiry << 8
const typeAndExpiry = expiryInKindWord | 0xff

/** Finds the newest record of the key at hand. Its bytes count only if {@link isStable} after. */
export function find(engine: Engine, keyspaceId: number): boolean {
  const hash = hashKey(engine, keyspaceId)
  if (engine.verifiesReads) return findVerified(engine, hash, keyspaceId)
  const { lookup } = engine
  for (;;) {
    if (probe(engine, hash, keyspaceId)) {
      const kind = lookup.recordWords[(lookup.offset << 1) + kindWord]
      if ((kind & typeAndExpiry) === typePut) return true
      const isThere = isThereNow(engine, kind)
      if (isThere !== undefined) return isThere
    } else if (isStable(engine) && isTableUnmoved(engine)) {
      return false
    }
  }
}

/**
 * Whether a record that is there counts: not one that was deleted, and is kept for a snapshot, nor one
 * that has expired. Undefined where it changed meanwhile.
 */
function isThereNow(engine: Engine, kind: number): boolean | undefined {
  const isPut = (kind & 0xff) === typePut
  if (isPut && (kind & expiryInKindWord) === 0) return true
  const nowMs = isPut ? timeNow(engine) : 0
  if (isPut && !isExpiredAt(engine, nowMs)) return true
  if (!isStable(engine)) return undefined
  if (isPut) noteSeen(engine, nowMs)
  return false
}

/** {@link find} for those who verify what they read. */
function findVerified(engine: Engine, hash: number, keyspaceId: number): boolean {
  const { lookup } = engine
  for (;;) {
    if (probe(engine, hash, keyspaceId)) {
      if (!verifyFound(engine, keyspaceId)) continue
      const isThere = isThereNow(engine, lookup.recordWords[(lookup.offset << 1) + kindWord])
      if (isThere !== undefined) return isThere
    } else if (verifyMissing(engine, keyspaceId, hash)) {
      if (isStable(engine) && isTableUnmoved(engine)) return false
    }
  }
}

/** True where nothing under the lookup's home bucket changed since the lookup began. */
export function isStable(engine: Engine): boolean {
  const { homeWords, homeStart, version } = engine.lookup
  fence()
  if ((version & 1) === 0 && Atomics.load(homeWords, homeStart + versionWordInBucket) === version) {
    return true
  }
  if ((++engine.unstableReads & (readsBeforeTurn - 1)) === 0) takeTurn(engine)
  return false
}

/** A change is over after microseconds, unless it is a large batch, or its writer stands still. */
const readsBeforeTurn = 512

/** Waits until the change is over: takes a writer's turn, which finishes what a dead one began. */
export function takeTurn(engine: Engine): void {
  const { words } = engine.control
  if ((Atomics.load(words, layout.writerWord) & layout.tokenBusy) === 0) return
  if (engine.log.access === 'private') {
    waitForTurn(engine)
  } else {
    enter(engine)
    leave(engine)
  }
}

/** For one that may not write: a word of its own would part its memory from the others'. */
function waitForTurn(engine: Engine): void {
  const { words } = engine.control
  const startedAtMs = performance.now()
  while ((Atomics.load(words, layout.writerWord) & layout.tokenBusy) !== 0) {
    if (performance.now() - startedAtMs >= engine.lockTimeoutMs) {
      throw new StoreError(
        'STORE_LOCKED',
        `a writer of ${engine.directory} stands still or is dead; this reader may not write there and cannot finish what it began`,
        { details: { file: engine.directory } },
      )
    }
    pause(1)
  }
}

export function isTableUnmoved(engine: Engine): boolean {
  const { index } = engine
  if (index.isUnmoved()) return true
  index.adoptBucketCount()
  return false
}

/** Fills the lookup's value fields for the record it found. */
export function locateValue(engine: Engine): void {
  const { log, lookup } = engine
  const { recordWords, slot, offset } = lookup
  const start = offset << 1
  const valueStart = (offset << 3) + recordValueOffset(recordWords, start)
  lookup.valueSizeBytes = recordValueSize(recordWords, start)
  if ((recordFlags(recordWords, start) & flagReference) === 0) {
    lookup.valueSlot = slot
    lookup.valueStart = valueStart
  } else {
    lookup.valueSlot = mapReference(log, slot, valueStart)
    lookup.valueStart = segmentHeaderSizeBytes
  }
}

/** The value where it lies: to be copied, and believed only if {@link isStable} afterwards. */
function valueInPlace(engine: Engine): Uint8Array {
  const { log, lookup } = engine
  const { valueSlot } = lookup
  const start = log.bases[valueSlot] + lookup.valueStart
  return new Uint8Array(log.buffers[valueSlot], start, lookup.valueSizeBytes)
}

/** A copy of the value that the caller owns, or undefined. */
export function getBytes(engine: Engine, keyspaceId: number): Buffer | undefined {
  engine.requireOpen()
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    locateValue(engine)
    const copy = Buffer.allocUnsafe(engine.lookup.valueSizeBytes)
    copy.set(valueInPlace(engine))
    if (isStable(engine)) return copy
  }
}

/** The value as text, or undefined. */
export function getText(engine: Engine, keyspaceId: number): string | undefined {
  engine.requireOpen()
  const { log, lookup } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    locateValue(engine)
    const { valueSlot, valueStart, valueSizeBytes } = lookup
    const text = log.bytes[valueSlot].toString('utf8', valueStart, valueStart + valueSizeBytes)
    if (isStable(engine)) return text
  }
}

/**
 * Copies the value into `target` at `targetOffset`; its size, or -1 where the key is missing.
 * Throws `RangeError` where it does not fit; `target` is then as it was.
 */
export function getInto(
  engine: Engine,
  keyspaceId: number,
  target: Uint8Array,
  targetOffset: number,
): number {
  engine.requireOpen()
  for (;;) {
    if (!find(engine, keyspaceId)) return -1
    locateValue(engine)
    const size = engine.lookup.valueSizeBytes
    if (targetOffset + size <= target.length) {
      target.set(valueInPlace(engine), targetOffset)
      if (isStable(engine)) return size
    } else if (isStable(engine)) {
      const room = target.length - targetOffset
      throw new RangeError(`value has ${size} bytes, target has ${room} from ${targetOffset} on`)
    }
  }
}

export function has(engine: Engine, keyspaceId: number): boolean {
  engine.requireOpen()
  for (;;) {
    const isThere = find(engine, keyspaceId)
    // A key that is found may be one of a batch of which other keys are not there yet.
    if (!isThere || isStable(engine)) return isThere
  }
}
