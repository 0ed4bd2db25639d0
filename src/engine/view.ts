/**
 * view: the bytes of a value where they lie, for the caller to keep (I11).
 *
 * They lie in memory apart from the engine's own (platform/view-pages.ts), and a record that could
 * still be updated in place is frozen first: the read-only boundary moves behind it with the
 * writer's word in hand. Below that boundary bytes never change (I4), segments are never written
 * again and never cut, so neither an update of the key nor compaction nor close can be seen in a view.
 *
 * A copy is given where the value is not aligned (log/alignment.ts), where files are not mapped, and
 * to one that may not write and so cannot move the boundary.
 * Hot path: `bench/compare`, row "view".
 */
import { valueAlignmentBytes } from '../log/alignment.js'
import type { Engine } from './engine.js'
import { freezeRecord } from './freeze.js'
import { find, isStable, locateValue } from './read.js'

/** Where {@link viewValue} found the value. One for all engines: good until the next call. */
export const viewed = { buffer: new ArrayBuffer(0), byteOffset: 0, sizeBytes: 0 }

/** Holds nothing back for the sake of a view that its caller may have dropped. */
export function forgetViewed(): void {
  viewed.buffer = noBuffer
}

const noBuffer = new ArrayBuffer(0)

/**
 * Finds the value of the key at hand. False where it is missing. Of a value whose size is no multiple
 * of `elementSizeBytes` there is only the size.
 */
export function viewValue(engine: Engine, keyspaceId: number, elementSizeBytes: number): boolean {
  engine.requireOpen()
  const { log, lookup, views } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return false
    locateValue(engine)
    const { valueSizeBytes, valueSlot, valueStart } = lookup
    viewed.sizeBytes = valueSizeBytes
    // Elements have 1, 2, 4 or 8 bytes.
    const isFitting = (valueSizeBytes & (elementSizeBytes - 1)) === 0
    if (!isFitting || !isInPlace(engine)) {
      if (isFitting) copyValue(engine)
      if (isStable(engine)) return true
      continue
    }
    const address = log.starts[lookup.slot] + lookup.offset
    if (!isStable(engine)) continue
    if (address >= views.frozenEnd) {
      freezeRecord(engine, address)
      // It may have been updated before that; and others may have taken the lookup.
      continue
    }
    const pages = views.of(log, valueSlot)
    if (pages === undefined) {
      copyValue(engine)
      return true
    }
    pages.place(valueStart, valueSizeBytes)
    viewed.buffer = pages.buffer
    viewed.byteOffset = pages.byteOffset
    return true
  }
}

/** Whether the value of the lookup can be viewed where it lies. */
function isInPlace({ log, lookup, platform }: Engine): boolean {
  if (lookup.valueSizeBytes === 0 || (lookup.valueStart & (valueAlignmentBytes - 1)) !== 0)
    return false
  return log.access === 'shared' && platform.kind !== 'file'
}

function copyValue({ log, lookup }: Engine): void {
  const { valueSizeBytes, valueSlot, valueStart } = lookup
  const start = log.bases[valueSlot] + valueStart
  const copy = new Uint8Array(valueSizeBytes)
  copy.set(new Uint8Array(log.buffers[valueSlot], start, valueSizeBytes))
  viewed.buffer = copy.buffer
  viewed.byteOffset = 0
}
