/** What the package `varve` exports. */

export type { BackupProgress, BackupReport } from '../backup/backup.js'
export {
  type LockHolder,
  StoreError,
  type StoreErrorCode,
  type StoreErrorDetails,
} from '../base/errors.js'
export type { CompactionEvent, CompactionReport } from '../compaction/compaction.js'
export type { CompactionEstimate, SegmentEstimate } from '../compaction/estimate.js'
export type { Attachment } from '../control/attachments.js'
export type { RecoveryReport } from '../engine/engine.js'
export type { StoreStats } from '../engine/stats.js'
export type { Problem } from '../verify/problems.js'
export type { VerifyProgress, VerifyReport } from '../verify/verify.js'
export type {
  CustomEncoding,
  KeyEncoding,
  OrderedKey,
  StoreKey,
  ValueEncoding,
  ValueEncodingName,
} from './encoding.js'
export type { StoreEvents } from './events.js'
export type { StoreHandle } from './handle.js'
export { Keyspace, type StoreEntry } from './keyspace.js'
export { Lazy } from './lazy.js'
export type {
  BackupOptions,
  CompactOptions,
  DeleteOptions,
  KeyspaceOptions,
  PutOptions,
  StoreOptions,
  VerifyOptions,
} from './options.js'
export type { RangeOptions } from './range.js'
export type { ScanOptions } from './scan.js'
export { KeyspaceSnapshot, Snapshot } from './snapshot.js'
export { open, Store, type WriteOperation } from './store.js'
