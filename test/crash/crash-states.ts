/** Every sequence of up to three operations, crashed: what crash-states-*.test.ts have in common. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { type Base, type Exploration, explore, makeBases } from './explore.js'
import type { ImageLimits } from './images.js'
import { type Operation, operations } from './operations.js'

/** One case again: what a failure names as its seed. */
const onlyCase = process.env.VARVE_CASE

const shortLimits: ImageLimits = isThorough
  ? { enumeratedMax: 512, sampled: 96, kills: 6 }
  : { enumeratedMax: 8, sampled: 4, kills: 1 }
const longLimits: ImageLimits = isThorough
  ? { enumeratedMax: 16, sampled: 6, kills: 2 }
  : { enumeratedMax: 2, sampled: 2, kills: 1 }
const randomLimits: ImageLimits = isThorough
  ? { enumeratedMax: 64, sampled: 24, kills: 3 }
  : shortLimits

const randomCount = isThorough ? 1000 : 40
/** A run of an hour says how far it is, each time it opened so many. */
const saidEvery = 20_000
const randomLength = 25

function sequencesOf(length: number): Operation[][] {
  if (length === 0) return [[]]
  return sequencesOf(length - 1).flatMap((former) => operations.map((next) => [...former, next]))
}

export interface CrashOptions {
  /** Of the sequences of three operations, one of so many is looked at in an everyday run. */
  readonly everyLong: number
  /** So many states must be looked at. */
  readonly statesMin: number
}

export function testCrashStates(
  mapping: 'mmap' | 'file',
  { everyLong, statesMin }: CrashOptions,
): void {
  describe(`a crash in a workload (${mapping})`, () => {
    let bases: Base[]
    let total = 0
    before(async () => {
      bases = await makeBases(mapping)
    })

    async function exploreAll(
      cases: Iterable<readonly [readonly Operation[], number, readonly Base[]]>,
      limits: ImageLimits,
      say: (text: string) => void,
    ): Promise<void> {
      const tally = { states: 0, nested: 0 }
      const exploration: Exploration = { limits, tally, failuresMax: 5, failures: [] }
      for (const [sequence, caseSeed, chosen] of cases) {
        if (onlyCase !== undefined && String(caseSeed) !== onlyCase) continue
        const before = tally.states
        for (const base of chosen) await explore(base, sequence, caseSeed, exploration)
        if (isThorough) sayProgress(total + before, total + tally.states, exploration.failures)
        if (exploration.failures.length >= exploration.failuresMax) break
      }
      total += tally.states
      say(`${tally.states} states, ${tally.nested} of them within a recovery; VARVE_SEED=${seed}`)
      assert.deepEqual(exploration.failures, [], `VARVE_SEED=${seed}`)
    }

    function sayProgress(before: number, now: number, failures: readonly string[]): void {
      if (Math.floor(before / saidEvery) === Math.floor(now / saidEvery)) return
      const found = `${now} states so far, ${failures.length} failures in this part`
      process.stderr.write(`${mapping}: ${found}; VARVE_SEED=${seed}\n`)
    }

    for (const length of [1, 2, 3]) {
      test(`of ${length} operations leaves a prefix of what was written`, async (t) => {
        function* cases(): Generator<readonly [Operation[], number, readonly Base[]]> {
          for (const [index, sequence] of sequencesOf(length).entries()) {
            const isLong = length === 3 && !isThorough
            if (isLong && index % everyLong !== seed % everyLong) continue
            // The longest ones take turns with the beginnings.
            const chosen = isLong ? [bases[(index + seed) % bases.length]] : bases
            yield [sequence, seed * 10_000 + index, chosen]
          }
        }
        const limits = length === 3 ? longLimits : shortLimits
        await exploreAll(cases(), limits, (text) => t.diagnostic(text))
      })
    }

    test('of many random operations leaves a prefix of what was written', async (t) => {
      function* cases(): Generator<readonly [Operation[], number, readonly Base[]]> {
        for (let index = 0; index < randomCount; index++) {
          const caseSeed = seed * 10_000 + 5000 + index
          const random = new Random(caseSeed)
          const sequence = Array.from({ length: randomLength }, () => random.pick(operations))
          yield [sequence, caseSeed, [random.pick(bases)]]
        }
      }
      await exploreAll(cases(), randomLimits, (text) => t.diagnostic(text))
    })

    test('is looked at in as many states as it says', (t) => {
      t.diagnostic(`${total} states in all; VARVE_SEED=${seed}`)
      assert.ok(onlyCase !== undefined || total >= statesMin, `${total}`)
    })
  })
}
