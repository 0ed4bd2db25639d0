/** What both the test and the process that it kills open the stores with. */
import type { StoreOptions } from '../../src/store/index.js'

export const options: StoreOptions<string> = {
  encoding: 'utf8',
  segmentSizeBytes: 2 ** 20,
  syncIntervalMs: 0,
}
