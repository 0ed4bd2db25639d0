/**
 * Goal: as crash-states-mmap.test.ts, for files that are not mapped: every write is a positioned write,
 *   nothing is updated in place, and no other process is told of a failed sync.
 * Method, properties checked: the same.
 */
import { isThorough } from '../support/thorough.js'
import { testCrashStates } from './crash-states.js'

testCrashStates('file', { everyLong: 7, statesMin: isThorough ? 300_000 : 18_000 })
