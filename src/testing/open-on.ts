/** Opening a store on a simulated disk. */
import { shown } from '../base/shown.js'
import { abandon } from '../engine/close.js'
import { openOn as openEngineOn } from '../recovery/open-store.js'
import type { StoreKey } from '../store/encoding.js'
import { resolveStoreOptions, type StoreOptions } from '../store/options.js'
import { Store } from '../store/store.js'
import { SimulatedDisk } from './simulated-disk.js'

/** Where the store lies on its disk. */
export const simulatedDirectory = '/store'

const segmentSizeBytesMin = 2 ** 14
const segmentSizeBytesMax = 2 ** 30

/**
 * Opens the store on a simulated disk, or makes one there: as `open`, with a disk in the place of a
 * path. `segmentSizeBytes` may be as small as 16 KiB, default 16 KiB; `mapping` is the disk's; nothing
 * is synced in the background unless `syncIntervalMs` is given.
 */
export function openOn<V = unknown, K extends StoreKey = string>(
  disk: SimulatedDisk,
  options: StoreOptions<V> = {},
): Store<V, K> {
  requireDisk(disk)
  const { segmentSizeBytes, ...others } = options
  const resolved = resolveStoreOptions({ syncIntervalMs: 0, ...others })
  if (segmentSizeBytes !== undefined) requireSegmentSize(segmentSizeBytes)
  const isNew = disk.find(`${simulatedDirectory}/superblock`) === undefined
  const wanted = segmentSizeBytes ?? (isNew ? segmentSizeBytesMin : undefined)
  if (resolved.open.readOnly) disk.hasReaders = true
  const engine = openEngineOn(disk.platform, simulatedDirectory, {
    ...resolved.open,
    segmentSizeBytes: wanted,
  })
  disk.atEnd(() => {
    clearTimeout(engine.syncQueue.timer)
    engine.background.stop()
  })
  try {
    return new Store<V, K>(engine, simulatedDirectory, resolved)
  } catch (error) {
    abandon(engine)
    throw error
  }
}

function requireDisk(disk: unknown): void {
  if (disk instanceof SimulatedDisk) return
  throw new TypeError(`disk is ${shown(disk)}; accepted: a SimulatedDisk`)
}

function requireSegmentSize(sizeBytes: number): void {
  const isAccepted =
    Number.isInteger(Math.log2(sizeBytes)) &&
    sizeBytes >= segmentSizeBytesMin &&
    sizeBytes <= segmentSizeBytesMax
  if (isAccepted) return
  throw new RangeError(
    `option "segmentSizeBytes" is ${shown(sizeBytes)}; accepted: a power of two from 16384 (16 KiB) to 1073741824 (1 GiB)`,
  )
}
