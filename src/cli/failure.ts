/** What went wrong, as one line on stderr and an exit code. */
import { CommanderError } from 'commander'
import { StoreError, systemErrorCode } from '../base/errors.js'
import { ClosedOutput, say } from './output.js'

const exitCodeDone = 0
const exitCodeFailed = 1
const exitCodeMisused = 2

/** The command could not do what it was asked to; the message says all there is to say. */
export class Failure extends Error {}

/** The command was asked for something that it does not accept. */
export class UsageError extends Error {}

/** Says what `error` means and returns the exit code that goes with it. */
export function reportFailure(error: unknown): number {
  if (error instanceof ClosedOutput) return exitCodeDone
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodeDone : exitCodeMisused
  if (isClosingFailure(error)) {
    return Math.max(reportFailure(error.suppressed), reportFailure(error.error))
  }
  say(`varve: ${describe(error)}`)
  return isMisuse(error) ? exitCodeMisused : exitCodeFailed
}

/** Both the work and the closing of the store after it failed: see `SuppressedError`. */
function isClosingFailure(
  error: unknown,
): error is Error & { readonly error: unknown; readonly suppressed: unknown } {
  return error instanceof Error && 'error' in error && 'suppressed' in error
}

/** The store reports an argument that it does not accept as a TypeError or RangeError. */
function isMisuse(error: unknown): boolean {
  if (systemErrorCode(error) !== undefined) return false
  return error instanceof UsageError || error instanceof TypeError || error instanceof RangeError
}

function describe(error: unknown): string {
  if (error instanceof StoreError) {
    const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
    return `${error.code}: ${error.message}${cause}`
  }
  if (!(error instanceof Error)) return String(error)
  const isExpected = error instanceof Failure || isMisuse(error)
  // The messages of the system name the code, the call and the file.
  if (isExpected || systemErrorCode(error) !== undefined) return error.message
  return error.stack ?? error.message
}
