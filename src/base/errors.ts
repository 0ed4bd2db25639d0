/**
 * The stable reasons for which a store refuses an operation. Codes are API: they do not change
 * within a major version; messages may.
 */
export type StoreErrorCode =
  | 'STORE_CLOSED'
  | 'STORE_READ_ONLY'
  | 'STORE_POISONED'
  | 'STORE_CORRUPT'
  | 'STORE_NOT_FOUND'
  | 'STORE_EXISTS'
  | 'STORE_COMPACTED'
  | 'STORE_FORMAT'
  | 'STORE_FULL'
  | 'STORE_LOCKED'
  | 'STORE_IN_USE'

/** Facts about a refusal, for programs. Which are present depends on the code. */
export interface StoreErrorDetails {
  /** The file that is damaged, foreign or full. */
  readonly file?: string
  /** The address (in 8-byte words of the log) or the byte offset where the damage begins. */
  readonly address?: number
  /** What was found wrong, in a few words. */
  readonly what?: string
  /** For `STORE_LOCKED`: who holds the store. */
  readonly holder?: LockHolder
  /** For `STORE_COMPACTED`: the oldest sequence that can still be served. */
  readonly oldest?: number
  /** For a value that cannot be decoded: its key. */
  readonly key?: unknown
}

/** Who holds the lock on a store. */
export interface LockHolder {
  readonly processId: number
  readonly threadId: number
  readonly hostname: string
  /** When the holder opened the store, ISO 8601. */
  readonly since: string
}

/** The one error class of the store; misuse of an argument is a `TypeError` or `RangeError`. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError'
  readonly code: StoreErrorCode
  readonly details: StoreErrorDetails

  constructor(
    code: StoreErrorCode,
    message: string,
    options: { readonly details?: StoreErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The stored bytes contradict their checksum or each other: nothing was changed. */
export function corrupt(file: string, address: number, what: string): StoreError {
  return new StoreError('STORE_CORRUPT', `${file} is damaged at ${address}: ${what}`, {
    details: { file, address, what },
  })
}

/** The file is not Varve's, or of a format this version does not know: nothing was changed. */
export function wrongFormat(file: string, what: string): StoreError {
  return new StoreError('STORE_FORMAT', `${file} cannot be opened: ${what}`, {
    details: { file, what },
  })
}

/** Codes of system errors for what the caller has no right to change. */
export const notWritableCodes: readonly string[] = ['EROFS', 'EACCES', 'EPERM']

/** The `code` of a system error (`ENOENT`, ...), if it is one. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
