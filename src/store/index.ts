/** What the package `varve` exports. */

export type { BackupProgress, BackupReport } from '../backup/backup.js'
export {
  type LockHolder,
  StoreError,
  type StoreErrorCode,
  type StoreErrorDetails,
} from '../base/errors.js'
export type { CompactionEstimate, SegmentEstimate } from '../compaction/estimate.js'
export type { CompactionEvent, CompactionReport } from '../compaction/run.js'
export type { Attachment } from '../control/attachments.js'
export type { Outcome } from '../engine/apply-command.js'
export type { CheckpointInfo } from '../engine/checkpoints.js'
export type { RecoveryReport } from '../engine/engine.js'
export type { StoreStats } from '../engine/stats.js'
export type { Problem } from '../verify/problems.js'
export type { VerifyProgress, VerifyReport } from '../verify/verify.js'
export type { Command } from './command.js'
export type {
  CustomEncoding,
  KeyEncoding,
  OrderedKey,
  StoreKey,
  ValueEncoding,
  ValueEncodingName,
} from './encoding.js'
export type { StoreEntry } from './entry.js'
export type { StoreEvents } from './events.js'
export type { StoreHandle } from './handle.js'
export { Keyspace } from './keyspace.js'
export { Lazy } from './lazy.js'
export type {
  BackupOptions,
  CompactOptions,
  DeleteOptions,
  ExpiryOptions,
  KeyspaceOptions,
  PutOptions,
  ReadStreamOptions,
  StoreOptions,
  TransferOptions,
  VerifyOptions,
  WatchOptions,
  WriteStreamOptions,
} from './options.js'
export type { RangeOptions } from './range.js'
export type { ScanOptions } from './scan.js'
export { KeyspaceSnapshot, Snapshot } from './snapshot.js'
export { open, Store, type WriteOperation } from './store.js'
export { Transaction, TransactionKeyspace } from './transaction.js'
export type { ViewType } from './view.js'
export type { Change, Watch } from './watch.js'
export type { ValueSource } from './write-stream.js'
