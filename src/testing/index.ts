/**
 * What `varve/testing` exports, for tests of programs that keep their data in a store:
 *
 * - a disk in memory that can crash and fail on demand, and a store on it. Not for production: it keeps
 *   every version of every sector that no sync covered;
 * - the model of a store, by Maps, to compare a store with or to use in the place of one;
 * - the documented behaviour as a suite of tests, for whatever has the API of a store.
 *
 * ```ts
 * const disk = new SimulatedDisk()
 * const store = openOn(disk)
 * store.put('a', 1)
 * await store.sync()
 * store.put('b', 2)
 * // Nothing arrived that no sync covered: `b` is gone.
 * const after = openOn(disk.crash(() => 0))
 * ```
 */
export {
  type ConformanceGroup,
  type ConformanceOptions,
  conformanceGroups,
  conformanceSuite,
} from './conformance.js'
export { type DiskCall, diskCalls, type Fault, Faults } from './faults.js'
export type {
  KeyValueEntry,
  KeyValueKeyspace,
  KeyValueList,
  KeyValueOperation,
  KeyValueReads,
  KeyValueSnapshot,
  KeyValueStore,
  KeyValueStoreTransaction,
  KeyValueTransaction,
} from './key-value-store.js'
export { type ModelRange, selectRange } from './model-range.js'
export { ModelKeyspace, ModelStore, type ModelStoreOptions } from './model-store.js'
export { openOn } from './open-on.js'
export {
  type DiskChange,
  type DiskOptions,
  type Pick,
  type Sector,
  SimulatedDisk,
  type Uncertainty,
} from './simulated-disk.js'
export { sectorSizeBytes } from './simulated-file.js'
