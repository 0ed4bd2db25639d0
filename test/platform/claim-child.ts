/** A process that claims a lock without FFI, says how it went, and lives until it is killed. */
import { writeSync } from 'node:fs'
import { StoreError } from '../../src/base/errors.js'
import { takeLock } from '../../src/platform/lock.js'

const holder = { processId: process.pid, threadId: 0, hostname: 'here', since: '' }
try {
  takeLock(undefined, process.argv[2], 'write', holder)
  writeSync(1, 'claimed\n')
} catch (error) {
  writeSync(1, `${error instanceof StoreError ? error.code : String(error)}\n`)
}
process.stdin.resume()
