/** What the package exports as `varve/level`. */
export type { LevelErrorCode } from './errors.js'
export { LevelError } from './errors.js'
export {
  type BatchOptions,
  type ChainedBatch,
  type ChainedBatchWriteOptions,
  type DatabaseOptions,
  type DelOptions,
  type OpenOptions,
  type PutOptions,
  VarveLevel,
  type WriteOptions,
} from './varve-level.js'
