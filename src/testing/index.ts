/**
 * What `varve/testing` exports: a disk in memory that can crash and fail on demand, and a store on it.
 * For tests of programs that must keep their promises over a power loss. Not for production: it keeps
 * every version of every sector that no sync covered.
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
export { type DiskCall, diskCalls, type Fault, Faults } from './faults.js'
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
