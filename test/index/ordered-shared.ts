/** An ordered index in shared memory, for threads, and keys that prove themselves. */
import { OrderedIndex } from '../../src/index/ordered-index.js'
import type { MapAccess, PlatformFile } from '../../src/platform/platform.js'
import { Random } from '../support/random.js'

export const keyCount = 6000

export interface Shared {
  readonly memory: SharedArrayBuffer
  /** Word 0: 1 while the writer writes; word 1: readers that are ready. */
  readonly state: Int32Array
}

/** A file that is one shared buffer, all of it there from the beginning. */
function fileOf(memory: SharedArrayBuffer, access: MapAccess): PlatformFile {
  const unused = (): never => {
    throw new Error('not part of the test')
  }
  return {
    path: 'shared',
    identity: unused,
    sizeBytes: () => memory.byteLength,
    // Who may not write has no way to make more of it usable.
    reservedBytes: () => (access === 'private' ? memory.byteLength : 0),
    read: unused,
    readAsync: unused,
    write: unused,
    reserve: () => undefined,
    reserveAhead: unused,
    map: (offset, sizeBytes) => ({
      buffer: memory,
      byteOffset: offset,
      sizeBytes,
      needsWriteThrough: false,
      writeThrough: () => undefined,
      prefault: () => undefined,
      discard: () => undefined,
      isResident: () => true,
      residentBytes: (_, size) => size,
      expectRandomReads: () => undefined,
      adviseOut: () => undefined,
      addressAt: () => undefined,
      unmap: () => undefined,
    }),
    mapForViews: () => undefined,
    sync: unused,
    syncNow: unused,
    close: () => undefined,
  }
}

export function openShared(memory: SharedArrayBuffer, access: MapAccess): OrderedIndex {
  return new OrderedIndex(fileOf(memory, access), access, undefined)
}

/** Every third key stays from beginning to end. */
export function isStable(number: number): boolean {
  return number % 3 === 0
}

/**
 * Key `number`: its number, then bytes that follow from it, so that a key made of parts of two
 * others is known for what it is. Some are long.
 */
export function keyOf(number: number): Buffer {
  const random = new Random(number)
  const size = number % 40 === 7 ? 385 + random.below(3000) : 4 + random.below(40)
  const bytes = random.bytes(size)
  bytes.writeUInt32BE(number, 0)
  return bytes
}
