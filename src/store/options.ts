/** The options of a store: their types, their defaults, and the check that every one is known. */

import type { BackupProgress } from '../backup/backup.js'
import { shown } from '../base/shown.js'
import { noExpiry } from '../log/expiry-table.js'
import type { OpenOptions } from '../recovery/make-engine.js'
import type { VerifyProgress } from '../verify/verify.js'
import type { KeyEncoding, ValueEncoding } from './encoding.js'
import { isKeyEncoding, isValueEncoding, keyEncodingNames, valueEncodingNames } from './encoding.js'

export interface KeyspaceOptions<V = unknown> {
  /**
   * How values become bytes. Default: what the keyspace was written with, or `'msgpack'` for a new
   * one. Remembered with the first write; another one is refused from then on. `'msgpack-shared'` is
   * `'msgpack'` with the names of objects' fields kept once in the store (the first 64 combinations of
   * names that are seen) instead of in every value: values are smaller, and read faster.
   */
  readonly encoding?: ValueEncoding<V>
  /**
   * How keys become bytes; keys are ordered by these. Default: what the keyspace was written with,
   * or `'utf8'` for a new one.
   */
  readonly keyEncoding?: KeyEncoding
}

export interface StoreOptions<V = unknown> extends KeyspaceOptions<V> {
  /** Open without the right to write; works on a read-only file system. Default false. */
  readonly readOnly?: boolean
  /** Make the store where there is none. Default true; without effect when `readOnly`. */
  readonly createIfMissing?: boolean
  /** Refuse with `STORE_EXISTS` where there is one. Default false. */
  readonly errorIfExists?: boolean
  /**
   * Size of a segment file: a power of two from 1 MiB to 1 GiB, default 64 MiB. Fixed when the
   * store is created; later it may be left out or must be the same. Larger segments cost fewer
   * files and more space that is reserved and not used yet.
   */
  readonly segmentSizeBytes?: number
  /**
   * How long, in milliseconds, a write may stay without a sync in the background: 0 (only when
   * `sync()` is called) to 2,147,483,647, default 1000. This is what a power loss can cost; a
   * killed process loses nothing in either case.
   */
  readonly syncIntervalMs?: number
  /**
   * How long, in milliseconds, a write or an opening waits for another thread or process that holds
   * the store and stands still, before `STORE_LOCKED`: 0 to 2,147,483,647, default 60,000. One that
   * is dead is not waited for.
   */
  readonly lockTimeoutMs?: number
  /**
   * How files are reached. `'auto'` (default): mapped into memory where that is possible and safe,
   * else as `'file'`. `'mmap'`: mapped, or a `TypeError`. `'file'`: never mapped; slower writes, the
   * same promises.
   */
  readonly mapping?: 'auto' | 'mmap' | 'file'
  /**
   * Whether the space of overwritten and deleted records is given back in the background, by one of those
   * that have the store open. Default true. `compact()` works in either case.
   */
  readonly autoCompact?: boolean
  /**
   * Make checkpoints in the background, so that opening after a restart of the machine replays no more
   * log than the index is large, or 64 MiB. Default true; without it the log since the last
   * {@link Store.checkpoint} is replayed, or all of it.
   */
  readonly autoCheckpoint?: boolean
  /**
   * How much of the log to keep in memory, in bytes: what was written or read last stays, about as much as
   * this, and the rest is read from its file when it is asked for. A whole number from 0; default: none, the
   * system decides. Counted without the indexes. Of stores that are mapped only: see docs/operations.md.
   */
  readonly memoryBudgetBytes?: number
  /**
   * `'always'`: every read verifies the checksum of the record, and of a value in a segment of its own,
   * and throws `STORE_CORRUPT` (`details`: file, address, key, what) in the place of a wrong answer.
   * Costs about 130 ns for 100 bytes. Default `'off'`: {@link Store.verify} finds damage, when asked.
   */
  readonly verifyReads?: 'off' | 'always'
  /**
   * How long, in milliseconds, a delete outranks a late command of {@link Keyspace.apply} with a lower
   * version: 0 to Infinity. Default: for ever once `apply` was used on the store, 0 before. Each delete
   * that is remembered takes an entry of the index and its record. Of several that have the store open, the
   * longest time that one asked for counts.
   */
  readonly rememberDeletesMs?: number
}

export interface ResolvedOptions {
  readonly open: OpenOptions
  readonly encoding: ValueEncoding<unknown> | undefined
  readonly keyEncoding: KeyEncoding | undefined
  readonly autoCompact: boolean
}

interface OptionRule {
  readonly accepted: string
  readonly isAccepted: (value: unknown) => boolean
  /** A value of the right type and out of range is a `RangeError`. */
  readonly isRange?: boolean
}

const isBoolean = (value: unknown): boolean => typeof value === 'boolean'
const segmentSizeBytesMin = 2 ** 20
const segmentSizeBytesMax = 2 ** 30
const timerMsMax = 2 ** 31 - 1

const keyspaceRules: Readonly<Record<string, OptionRule>> = {
  encoding: {
    accepted: `${quoted(valueEncodingNames)} or { encode, decode }`,
    isAccepted: isValueEncoding,
  },
  keyEncoding: { accepted: quoted(keyEncodingNames), isAccepted: isKeyEncoding },
}

const storeRules: Readonly<Record<string, OptionRule>> = {
  ...keyspaceRules,
  readOnly: { accepted: 'true or false', isAccepted: isBoolean },
  createIfMissing: { accepted: 'true or false', isAccepted: isBoolean },
  errorIfExists: { accepted: 'true or false', isAccepted: isBoolean },
  segmentSizeBytes: {
    accepted: 'a power of two from 1048576 (1 MiB) to 1073741824 (1 GiB)',
    isAccepted: (value) =>
      typeof value === 'number' &&
      value >= segmentSizeBytesMin &&
      value <= segmentSizeBytesMax &&
      Number.isInteger(Math.log2(value)),
    isRange: true,
  },
  syncIntervalMs: {
    accepted: 'a whole number of milliseconds from 0 to 2147483647',
    isAccepted: (value) => Number.isInteger(value) && isWithin(value as number, 0, timerMsMax),
    isRange: true,
  },
  lockTimeoutMs: {
    accepted: 'a whole number of milliseconds from 0 to 2147483647',
    isAccepted: (value) => Number.isInteger(value) && isWithin(value as number, 0, timerMsMax),
    isRange: true,
  },
  rememberDeletesMs: {
    accepted: 'a number of milliseconds from 0 to Infinity',
    isAccepted: (value) => typeof value === 'number' && value >= 0,
    isRange: true,
  },
  memoryBudgetBytes: {
    accepted: 'a whole number of bytes from 0',
    isAccepted: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    isRange: true,
  },
  mapping: {
    accepted: quoted(['auto', 'mmap', 'file']),
    isAccepted: (value) => value === 'auto' || value === 'mmap' || value === 'file',
  },
  autoCompact: { accepted: 'true or false', isAccepted: isBoolean },
  autoCheckpoint: { accepted: 'true or false', isAccepted: isBoolean },
  verifyReads: {
    accepted: quoted(['off', 'always']),
    isAccepted: (value) => value === 'off' || value === 'always',
  },
}

/** How many checkpoints are to be kept. */
export function requireKeep(keep: unknown): asserts keep is number {
  if (typeof keep !== 'number') {
    throw new TypeError(`keep is ${shown(keep)}; accepted: a whole number from 0`)
  }
  if (Number.isInteger(keep) && keep >= 0) return
  throw new RangeError(`keep is ${shown(keep)}; accepted: a whole number from 0`)
}

/** Checks every option and fills in the defaults. */
export function resolveStoreOptions(options: object): ResolvedOptions {
  checkOptions(options, storeRules)
  const given = options as StoreOptions
  return {
    open: {
      readOnly: given.readOnly ?? false,
      createIfMissing: given.createIfMissing ?? true,
      errorIfExists: given.errorIfExists ?? false,
      segmentSizeBytes: given.segmentSizeBytes,
      syncIntervalMs: given.syncIntervalMs ?? 1000,
      lockTimeoutMs: given.lockTimeoutMs ?? 60_000,
      mapping: given.mapping ?? 'auto',
      autoCheckpoint: given.autoCheckpoint ?? true,
      memoryBudgetBytes: given.memoryBudgetBytes,
      verifiesReads: given.verifyReads === 'always',
      rememberDeletesMs: given.rememberDeletesMs,
    },
    encoding: given.encoding,
    keyEncoding: given.keyEncoding,
    autoCompact: given.autoCompact ?? true,
  }
}

export function checkKeyspaceOptions(options: object): void {
  checkOptions(options, keyspaceRules)
}

/** When a record is to expire: one of the two, or neither for never. */
export interface ExpiryOptions {
  /** In so many milliseconds from now: a whole number from 1. */
  readonly ttlMs?: number
  /** At this time, in milliseconds since 1970: a whole number from 1. One that is past is past. */
  readonly expiresAtMs?: number
}

export interface PutOptions extends ExpiryOptions {
  /** Write only if the key's record has this version. */
  readonly ifVersion?: number
  /** Write only if the key is missing. */
  readonly ifAbsent?: boolean
}

export interface TransferOptions {
  /** Only if the other key is missing. Default false: it is replaced. */
  readonly ifAbsent?: boolean
}

export interface WriteStreamOptions extends PutOptions {
  /** Gives the value up: the source is ended, and its reason thrown. */
  readonly signal?: AbortSignal
}

/** Which bytes of a value, both as in `fs.createReadStream`: the last one is read, too. */
export interface ReadStreamOptions {
  /** The first byte. Default 0. */
  readonly start?: number
  /** The last byte. Default: the value's last. */
  readonly end?: number
  /** Ends the stream with an `AbortError`. */
  readonly signal?: AbortSignal
}

/** What {@link Keyspace.watch} gives. */
export interface WatchOptions<K = unknown> {
  /** Only keys that begin with these bytes; of an array, those that begin with its elements. */
  readonly prefix?: K
  /** Begin with the changes behind this sequence, and not with those from now on. */
  readonly sinceSequence?: number
  /** Ends it. */
  readonly signal?: AbortSignal
}

export interface VerifyOptions {
  /** Called some times a second with how far it is. */
  readonly onProgress?: (progress: VerifyProgress) => void
  /** Read no faster than this. Default: as fast as it goes beside other work. */
  readonly maxBytesPerSecond?: number
}

export interface BackupOptions {
  /** Called some times a second with how far it is. */
  readonly onProgress?: (progress: BackupProgress) => void
  /** Copy no faster than this. Default: as fast as it goes beside other work. */
  readonly maxBytesPerSecond?: number
}

export interface CompactOptions {
  /**
   * Segments of which this part or more can be given back are compacted: 0.01 to 1, default 0.5. Others
   * are, too, as long as the files take more than twice what is live.
   */
  readonly minGarbageRatio?: number
}

export interface DeleteOptions {
  /** Delete only if the key's record has this version. */
  readonly ifVersion?: number
}

const versionRule: OptionRule = {
  accepted: 'a version: a whole number from 0 to 2^53 - 1',
  isAccepted: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  isRange: true,
}

/** The latest time that a Date can be. */
const timeMsMax = 8_640_000_000_000_000
const timeRule: OptionRule = {
  accepted: `a whole number of milliseconds from 1 to ${timeMsMax}`,
  isAccepted: (value) => Number.isInteger(value) && isWithin(value as number, 1, timeMsMax),
  isRange: true,
}

const expiryRules: Readonly<Record<string, OptionRule>> = {
  ttlMs: timeRule,
  expiresAtMs: timeRule,
}

const putRules: Readonly<Record<string, OptionRule>> = {
  ...expiryRules,
  ifVersion: versionRule,
  ifAbsent: { accepted: 'true or false', isAccepted: isBoolean },
}

const transferRules: Readonly<Record<string, OptionRule>> = {
  ifAbsent: { accepted: 'true or false', isAccepted: isBoolean },
}

const signalRule: OptionRule = {
  accepted: 'an AbortSignal',
  isAccepted: (value) => value instanceof AbortSignal,
}

const writeStreamRules: Readonly<Record<string, OptionRule>> = { ...putRules, signal: signalRule }

const bytesRule: OptionRule = {
  accepted: 'a whole number of bytes from 0',
  isAccepted: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  isRange: true,
}

const readStreamRules: Readonly<Record<string, OptionRule>> = {
  start: bytesRule,
  end: bytesRule,
  signal: signalRule,
}

const watchRules: Readonly<Record<string, OptionRule>> = {
  // What a key is, its encoding says.
  prefix: { accepted: 'a key', isAccepted: () => true },
  sinceSequence: {
    accepted: 'the sequence of a change, or 0: a whole number up to 2^53 - 1',
    isAccepted: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    isRange: true,
  },
  signal: signalRule,
}

const verifyRules: Readonly<Record<string, OptionRule>> = {
  onProgress: { accepted: 'a function', isAccepted: (value) => typeof value === 'function' },
  maxBytesPerSecond: {
    accepted: 'a number of bytes above 0',
    isAccepted: (value) => typeof value === 'number' && value > 0,
    isRange: true,
  },
}

const compactRules: Readonly<Record<string, OptionRule>> = {
  minGarbageRatio: {
    accepted: 'a number from 0.01 to 1',
    isAccepted: (value) => typeof value === 'number' && isWithin(value, 0.01, 1),
    isRange: true,
  },
}

const deleteRules: Readonly<Record<string, OptionRule>> = { ifVersion: versionRule }

export function checkPutOptions(options: PutOptions): void {
  checkOptions(options, putRules)
  checkExclusive(options)
}

function checkExclusive(options: PutOptions): void {
  if (options.ifVersion !== undefined && options.ifAbsent === true) {
    throw new TypeError('options "ifVersion" and "ifAbsent" cannot hold together; give one of them')
  }
}

/** The time at which a record with these options expires, by the store's time; 0 for never. */
export function expiryOf(options: ExpiryOptions, nowMs: () => number): number {
  const { expiresAtMs, ttlMs } = options
  if (expiresAtMs === undefined && ttlMs === undefined) return noExpiry
  checkOptions({ expiresAtMs, ttlMs }, expiryRules)
  if (expiresAtMs !== undefined && ttlMs !== undefined) {
    throw new TypeError('options "ttlMs" and "expiresAtMs" cannot hold together; give one of them')
  }
  return expiresAtMs ?? Math.min(timeMsMax, nowMs() + (ttlMs as number))
}

export function checkExpiryOptions(options: ExpiryOptions): void {
  checkOptions(options, expiryRules)
}

export function checkTransferOptions(options: TransferOptions): void {
  checkOptions(options, transferRules)
}

export function checkReadStreamOptions(options: ReadStreamOptions): void {
  checkOptions(options, readStreamRules)
  const { end, start = 0 } = options
  if (end === undefined || end >= start) return
  throw new RangeError(`option "end" is ${end}; accepted: from "start" on, which is ${start}`)
}

export function checkWriteStreamOptions(options: WriteStreamOptions): void {
  checkOptions(options, writeStreamRules)
  checkExclusive(options)
}

export function checkDeleteOptions(options: DeleteOptions): void {
  checkOptions(options, deleteRules)
}

export function checkCompactOptions(options: CompactOptions): void {
  checkOptions(options, compactRules)
}

export function checkWatchOptions(options: WatchOptions): void {
  checkOptions(options, watchRules)
}

export function checkVerifyOptions(options: VerifyOptions | BackupOptions): void {
  checkOptions(options, verifyRules)
}

function checkOptions(options: object, rules: Readonly<Record<string, OptionRule>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`options must be an object, not ${shown(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) throw unknownOption(name, Object.keys(rules))
    if (value === undefined || rule.isAccepted(value)) continue
    const message = `option "${name}" is ${shown(value)}; accepted: ${rule.accepted}`
    const isOutOfRange = rule.isRange === true && typeof value === 'number'
    throw isOutOfRange ? new RangeError(message) : new TypeError(message)
  }
}

function unknownOption(name: string, known: readonly string[]): TypeError {
  const near = known.find((other) => other.toLowerCase() === name.toLowerCase())
  const hint = near === undefined ? '' : `, did you mean "${near}"?`
  return new TypeError(`unknown option "${name}"${hint}; accepted: ${quoted(known)}`)
}

function isWithin(value: number, low: number, high: number): boolean {
  return value >= low && value <= high
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}
