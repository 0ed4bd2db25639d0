/** Options of a store that several have open. */
import type { StoreOptions } from '../../src/store/index.js'

export interface SharedOptions extends Omit<StoreOptions<Buffer>, 'encoding'> {
  /** How long a write or an open waits for somebody else before `STORE_LOCKED`. */
  readonly lockTimeoutMs?: number
}

/** Small segments, so that they are rolled, and a sync every few milliseconds. */
export const smallOptions: SharedOptions = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 5 }
