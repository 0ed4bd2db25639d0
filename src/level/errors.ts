/** A refusal of the store under the code that abstract-level has for it; the `StoreError` is its cause. */
import { StoreError, type StoreErrorCode } from '../base/errors.js'

/** The codes of abstract-level that its classes do not give themselves. */
export type LevelErrorCode =
  | 'LEVEL_ABORTED'
  | 'LEVEL_CORRUPTION'
  | 'LEVEL_DATABASE_NOT_OPEN'
  | 'LEVEL_INVALID_KEY'
  | 'LEVEL_INVALID_VALUE'
  | 'LEVEL_IO_ERROR'
  | 'LEVEL_LOCKED'
  | 'LEVEL_READONLY'

export class LevelError extends Error {
  override readonly name: string = 'LevelError'
  readonly code: LevelErrorCode

  constructor(code: LevelErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** What rejects a read whose signal was given. */
export class AbortError extends LevelError {
  override readonly name: string = 'AbortError'

  constructor() {
    super('LEVEL_ABORTED', 'Operation has been aborted')
  }
}

const levelCodes: Readonly<Record<StoreErrorCode, LevelErrorCode>> = {
  STORE_CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
  STORE_READ_ONLY: 'LEVEL_READONLY',
  STORE_CORRUPT: 'LEVEL_CORRUPTION',
  STORE_FORMAT: 'LEVEL_CORRUPTION',
  STORE_LOCKED: 'LEVEL_LOCKED',
  STORE_POISONED: 'LEVEL_IO_ERROR',
  STORE_NOT_FOUND: 'LEVEL_IO_ERROR',
  STORE_EXISTS: 'LEVEL_IO_ERROR',
  STORE_COMPACTED: 'LEVEL_IO_ERROR',
  STORE_FULL: 'LEVEL_IO_ERROR',
  STORE_IN_USE: 'LEVEL_IO_ERROR',
}

/** The error to throw instead of one from the store; any other is left as it is. */
export function asLevelError(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error
  return new LevelError(levelCodes[error.code], messageOf(error), error)
}

/** Callers look for these words of LevelDB's, as it has no codes for the two cases. */
function messageOf(error: StoreError): string {
  if (error.code === 'STORE_NOT_FOUND') return `the database does not exist: ${error.message}`
  if (error.code === 'STORE_EXISTS') return `the database exists: ${error.message}`
  return error.message
}
