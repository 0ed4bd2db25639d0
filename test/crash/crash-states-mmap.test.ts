/**
 * Goal: whatever a crash of the machine leaves of the disk, what is found is a prefix of what was
 *   written, at or after the last completed sync.
 * Method: every sequence of up to three operations, on a simulated disk, over several beginnings;
 *   in every moment in which a sync is about to make something certain, and at the end, everything that
 *   no sync covered is old or new, sector by sector and name by name: all combinations where they are
 *   few, else a sample. Each image is opened on another boot. The process is also killed at steps of
 *   the last operation, and what is there is opened on the same boot. Long random sequences are added.
 * Properties checked: the contents are one of the states the store was in, from the one that the last
 *   completed sync covered on; verify() finds nothing; the same after a crash within this recovery; an
 *   opened store is settled, and what is then synced is found after one more crash.
 */
import { isThorough } from '../support/thorough.js'
import { testCrashStates } from './crash-states.js'

testCrashStates('mmap', { everyLong: 7, statesMin: isThorough ? 700_000 : 32_000 })
