/**
 * Goal: whichever call to the system fails, nothing acknowledged is lost and nothing wrong is read.
 * Method: one workload that touches everything, on a simulated disk; for each kind of call the n-th one
 *   fails, for every n, once or from then on until it was noticed, with EIO, ENOSPC or EMFILE; and the
 *   disk is full at every size in turn. After a failure: crashes, then the same step again.
 * Properties checked: a typed error, or none; what the store holds then is a state it was in, not older
 *   than what was acknowledged; a crash leaves what the last completed sync covered; a failed sync, or
 *   a failed write of the log, poisons (I10), and reading goes on; otherwise the step succeeds when it
 *   is repeated; at the end everything is there, also after a crash, and verify() finds nothing.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { diskCalls, type Fault, SimulatedDisk } from '../../src/testing/index.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { callCounts, codes, runOn } from './every-call.js'

/** More than the files of the workload have together. */
const fullSizeBytes = 400 * 1024

class Tally {
  runs = 0
  failures = 0
  poisoned = 0
  readonly problems: string[] = []

  async add(what: string, ...run: Parameters<typeof runOn>): Promise<void> {
    this.runs++
    try {
      const { failures, poisoned } = await runOn(...run)
      this.failures += failures
      this.poisoned += poisoned
    } catch (error) {
      this.problems.push(`${what}: ${String(error)}`)
    }
  }

  get summary(): string {
    return `${this.runs} runs, ${this.failures} failures, ${this.poisoned} times poisoned`
  }

  require(): void {
    const { problems, runs } = this
    const first = problems.slice(0, 10)
    assert.deepEqual(first, [], `${problems.length} of ${runs}; VARVE_SEED=${seed}`)
  }
}

for (const mapping of ['mmap', 'file'] as const) {
  describe(`the n-th call fails, for every n (${mapping})`, () => {
    for (const call of diskCalls) {
      test(call, async (t) => {
        const count = (await callCounts(mapping)).get(call) ?? 0
        const tally = new Tally()
        for (let at = 1; at <= count; at++) {
          for (const [index, code] of codes[call].entries()) {
            for (const isLasting of [false, true]) {
              // The first code, once, for every n; of the other cases each twelfth.
              const isRare = index > 0 || isLasting
              if (!isThorough && isRare && (at + index + seed) % 12 !== 0) continue
              const fault: Fault = { call, at, code, isLasting }
              const disk = new SimulatedDisk({ mapping })
              disk.faults.set(fault)
              const what = `${call} ${at} ${code}${isLasting ? ' from then on' : ''}`
              await tally.add(what, disk, () => disk.faults.clear())
            }
          }
        }
        t.diagnostic(tally.summary)
        tally.require()
        assert.ok(tally.failures > 0)
      })
    }

    test('the disk is full, at every size', async (t) => {
      const tally = new Tally()
      const random = new Random(seed)
      const step = isThorough ? 512 : 16_384
      for (let capacityBytes = 0; capacityBytes < fullSizeBytes; capacityBytes += step) {
        const odd = capacityBytes + random.below(step)
        const disk = new SimulatedDisk({ mapping, capacityBytes: odd })
        await tally.add(`${odd} bytes`, disk, (full) => {
          full.capacityBytes = Number.POSITIVE_INFINITY
        })
      }
      t.diagnostic(tally.summary)
      tally.require()
      assert.ok(tally.failures > 0)
      assert.equal(tally.poisoned, 0, 'a full disk is no reason to stop')
    })
  })
}
