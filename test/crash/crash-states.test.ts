/**
 * Goal: whatever a crash of the machine leaves of the disk, what is found is a prefix of what was
 *   written, at or after the last completed sync.
 * Method: every sequence of up to three operations, on a simulated disk, each over several beginnings;
 *   in every moment in which a sync is about to make something certain, and at the end, everything that
 *   no sync covered is old or new, sector by sector and name by name: all combinations where they are
 *   few, else a sample. Each image is opened on another boot.
 * Properties checked: the contents are one of the states the store was in, from the one that the last
 *   completed sync covered on; verify() finds nothing; the same after a crash within this recovery; an
 *   opened store is settled, and what is then synced is found after one more crash.
 */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import type { Tally } from './check.js'
import { type Base, type Exploration, explore, makeBases } from './explore.js'
import { type Operation, operations } from './operations.js'

const limits = isThorough ? { enumeratedMax: 512, sampled: 128 } : { enumeratedMax: 16, sampled: 6 }
const onlyCase = process.env.VARVE_CASE

function sequencesOf(length: number): Operation[][] {
  if (length === 0) return [[]]
  return sequencesOf(length - 1).flatMap((before) => operations.map((next) => [...before, next]))
}

function newExploration(): Exploration {
  return { limits, tally: { states: 0, nested: 0 }, failuresMax: 5, failures: [] }
}

const total: Tally = { states: 0, nested: 0 }

for (const mapping of ['mmap', 'file'] as const) {
  describe(`a crash in a workload (${mapping})`, () => {
    let bases: Base[]
    before(async () => {
      bases = await makeBases(mapping)
    })

    for (const length of [1, 2, 3]) {
      test(`of ${length} operations leaves a prefix of what was written`, async (t) => {
        const exploration = newExploration()
        for (const [index, sequence] of sequencesOf(length).entries()) {
          // The longest ones take turns with the beginnings, and are fewer without mappings.
          const chosen = length < 3 || isThorough ? bases : [bases[index % bases.length]]
          if (length === 3 && mapping === 'file' && !isThorough && index % 4 !== seed % 4) continue
          for (const base of chosen) {
            const caseSeed = seed * 1000 + index
            if (onlyCase !== undefined && String(caseSeed) !== onlyCase) continue
            await explore(base, sequence, caseSeed, exploration)
            if (exploration.failures.length >= exploration.failuresMax) break
          }
        }
        const { nested, states } = exploration.tally
        t.diagnostic(
          `${states} crash states, ${nested} of them within a recovery; VARVE_SEED=${seed}`,
        )
        total.states += states
        assert.deepEqual(exploration.failures, [], `VARVE_SEED=${seed}`)
      })
    }
  })
}

test('so many states were looked at', (t) => {
  t.diagnostic(`${total.states} crash states in all; VARVE_SEED=${seed}`)
  assert.ok(onlyCase !== undefined || total.states >= 50_000, `${total.states}`)
})
