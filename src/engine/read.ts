/**
 * Reading: the newest value of the key at hand.
 *
 * No lock is taken. The home bucket's version is read before the chain and again after the value
 * was copied; where it moved, or was odd, the read is made once more. A miss counts only if the
 * table did not grow meanwhile: the key may have moved to the new bucket.
 * Hot path: `bench/compare`, rows "random get", "random getInto", "missing get", "hot get".
 */
import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { flagReference } from '../format/record.js'
import { recordFlags, recordValueOffset, recordValueSize } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { hashKey, probe } from './probe.js'
import { referencedBytes } from './reference.js'

/** Finds the newest record of the key at hand. Its bytes count only if {@link isStable} after. */
export function find(engine: Engine, keyspaceId: number): boolean {
  const hash = hashKey(engine, keyspaceId)
  for (;;) {
    if (probe(engine, hash, keyspaceId)) return true
    if (isStable(engine) && isTableUnmoved(engine)) return false
  }
}

/** True where nothing under the lookup's home bucket changed since the lookup began. */
export function isStable(engine: Engine): boolean {
  const { homeWords, homeStart, version } = engine.lookup
  return (version & 1) === 0 && Atomics.load(homeWords, homeStart + versionWordInBucket) === version
}

function isTableUnmoved(engine: Engine): boolean {
  const { control, index } = engine
  if (control.get(layout.bucketCount) === index.bucketCount) return true
  index.adoptBucketCount()
  return false
}

/** Fills the lookup's value fields for the record it found. */
export function locateValue(engine: Engine): void {
  const { log, lookup } = engine
  const { recordWords, slot, offset } = lookup
  const start = offset << 1
  const valueOffset = offset * 8 + recordValueOffset(recordWords, start)
  lookup.valueSizeBytes = recordValueSize(recordWords, start)
  if ((recordFlags(recordWords, start) & flagReference) === 0) {
    lookup.valueBytes = log.bytes[slot]
    lookup.valueStart = valueOffset
  } else {
    const { bytes, start: valueStart } = referencedBytes(log, slot, valueOffset)
    lookup.valueBytes = bytes
    lookup.valueStart = valueStart
  }
}

/** A copy of the value that the caller owns, or undefined. */
export function getBytes(engine: Engine, keyspaceId: number): Buffer | undefined {
  engine.requireOpen()
  const { lookup } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    locateValue(engine)
    const size = lookup.valueSizeBytes
    const copy = Buffer.allocUnsafe(size)
    copy.set(
      new Uint8Array(
        lookup.valueBytes.buffer,
        lookup.valueStart + lookup.valueBytes.byteOffset,
        size,
      ),
    )
    if (isStable(engine)) return copy
  }
}

/** The value as text, or undefined. */
export function getText(engine: Engine, keyspaceId: number): string | undefined {
  engine.requireOpen()
  const { lookup } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    locateValue(engine)
    const { valueStart, valueSizeBytes } = lookup
    const text = lookup.valueBytes.toString('utf8', valueStart, valueStart + valueSizeBytes)
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
  const { lookup } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return -1
    locateValue(engine)
    const size = lookup.valueSizeBytes
    if (targetOffset + size <= target.byteLength) {
      const { valueBytes, valueStart } = lookup
      target.set(
        new Uint8Array(valueBytes.buffer, valueBytes.byteOffset + valueStart, size),
        targetOffset,
      )
      if (isStable(engine)) return size
    } else if (isStable(engine)) {
      throw new RangeError(
        `value has ${size} bytes, target has ${target.byteLength - targetOffset} from ${targetOffset}`,
      )
    }
  }
}

export function has(engine: Engine, keyspaceId: number): boolean {
  engine.requireOpen()
  return find(engine, keyspaceId)
}
