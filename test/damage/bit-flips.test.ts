/**
 * Goal: no damaged bit leads to a wrong answer, to a crash, or to a change of the damaged store.
 * Method: bits of every file of small closed stores are flipped one at a time, and the store is
 *   opened as one of another boot.
 * Properties checked: the right answers, or STORE_CORRUPT or STORE_FORMAT; where it is refused, all
 *   files are byte for byte as they were (I2, I12).
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { contentsOf, copyStore, overwrite, temporaryDirectory } from '../support/directory.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { type Fixture, makeFixture, Outcomes, outcomeOf } from './fixture.js'

/** How many of the cases are also opened for writing, from a copy. */
const writableEvery = 15

interface Stretch {
  readonly from: number
  readonly to: number
  /** About how many of its bytes are damaged, evenly spread; all of them in a thorough run. */
  readonly count: number
}

/** Flips one bit of a byte (every bit in a thorough run) and sorts what comes of it. */
function flip(fixture: Fixture, name: string, stretch: Stretch, copies: string): Outcomes {
  const outcomes = new Outcomes()
  const path = join(fixture.directory, name)
  const bytes = readFileSync(path)
  const size = stretch.to - stretch.from
  const step = isThorough ? 1 : Math.max(1, size / stretch.count)
  let cases = 0
  // Other bytes with each seed.
  for (
    let position = stretch.from + (seed % Math.floor(step));
    position < stretch.to;
    position += step
  ) {
    const at = Math.floor(position)
    const bits = isThorough ? [0, 1, 2, 3, 4, 5, 6, 7] : [(at * 5 + seed) % 8]
    for (const bit of bits) {
      overwrite(path, at, Uint8Array.of(bytes[at] ^ (1 << bit)))
      const place = `${name} byte ${at} bit ${bit}`
      outcomes.add(place, outcomeOf(fixture.directory, fixture))
      if (cases++ % writableEvery === 0) openForWriting(fixture, place, copies, outcomes)
    }
    overwrite(path, at, Uint8Array.of(bytes[at]))
  }
  assert.ok(cases > 0, `${name} has bytes to damage`)
  return outcomes
}

function openForWriting(fixture: Fixture, place: string, copies: string, outcomes: Outcomes): void {
  const copy = join(copies, place.replaceAll(' ', '-'))
  copyStore(fixture.directory, copy)
  const contents = contentsOf(copy)
  const outcome = outcomeOf(copy, fixture, { readOnly: false })
  outcomes.add(`${place}, opened for writing`, outcome)
  if (outcome !== 'refused') return
  // The lock's text names the last opener; it is the one file that opening writes first.
  const lock = { lock: '' }
  const isUnchanged =
    JSON.stringify({ ...contentsOf(copy), ...lock }) === JSON.stringify({ ...contents, ...lock })
  if (!isUnchanged) outcomes.add(place, 'a refused store was modified')
}

/** Where the records of a segment end: behind the last byte that is not zero. */
function usedEnd(path: string): number {
  return readFileSync(path).findLastIndex((byte) => byte !== 0) + 1
}

for (const kind of ['closed', 'recovered'] as const) {
  for (const mapping of ['mmap', 'file'] as const) {
    describe(`one bit of a ${kind} store (${mapping}) is flipped`, () => {
      const cleanups: (() => void)[] = []
      let fixture: Fixture
      let copies: string
      before(async () => {
        const cleanup = { after: (action: () => void) => void cleanups.push(action) }
        fixture = await makeFixture(cleanup, kind, mapping)
        copies = temporaryDirectory(cleanup)
        assert.equal(outcomeOf(fixture.directory, fixture), 'right')
      })
      after(() => {
        for (const action of cleanups) action()
      })

      const names = (pattern: RegExp): string[] =>
        readdirSync(fixture.directory).filter((name) => pattern.test(name))

      function check(pattern: RegExp, stretchOf: (path: string) => Stretch): Outcomes[] {
        const all = names(pattern).map((name) =>
          flip(fixture, name, stretchOf(join(fixture.directory, name)), copies),
        )
        assert.ok(all.length > 0)
        assert.deepEqual(
          all.flatMap((outcomes) => outcomes.summary()),
          [],
          `VARVE_SEED=${seed}`,
        )
        return all
      }

      test('either copy of the superblock serves', () => {
        const [ofFirst] = check(/^superblock$/, () => ({ from: 0, to: 104, count: 24 }))
        assert.equal(ofFirst.refused, 0, 'the second copy serves')
        const [ofSecond] = check(/^superblock$/, () => ({ from: 4096, to: 4200, count: 24 }))
        assert.equal(ofSecond.refused, 0, 'the first copy serves')
        check(/^superblock$/, () => ({ from: 104, to: 4096, count: 10 }))
      })

      test('a manifest is refused', () => {
        const [outcomes] = check(/^manifest$/, (path) => ({
          from: 0,
          to: readFileSync(path).length,
          count: 50,
        }))
        assert.equal(outcomes.right, 0)
      })

      test('a segment header is refused', () => {
        for (const outcomes of check(/^(segment|value)-/, () => ({
          from: 0,
          to: 128,
          count: 24,
        }))) {
          assert.equal(outcomes.right, 0)
        }
      })

      test('a record never gives a wrong answer', () => {
        check(/^segment-/, (path) => ({ from: 128, to: usedEnd(path), count: 60 }))
      })

      test('a stretch of zeros in the place of records never gives a wrong answer', () => {
        const outcomes = new Outcomes()
        for (const name of names(/^segment-/)) {
          const path = join(fixture.directory, name)
          const bytes = readFileSync(path)
          const end = usedEnd(path)
          const step = isThorough ? 8 : 8 * Math.ceil(end / 8 / 20)
          for (let from = 128 + ((seed * 8) % step); from < end; from += step) {
            for (const size of [8, 64, 512]) {
              overwrite(path, from, new Uint8Array(size))
              outcomes.add(`${name} ${size} from ${from}`, outcomeOf(fixture.directory, fixture))
              overwrite(path, from, bytes.subarray(from, from + size))
            }
          }
        }
        assert.deepEqual(outcomes.summary(), [], `VARVE_SEED=${seed}`)
        assert.ok(outcomes.refused > 0)
      })

      test('a large value never gives a wrong answer', () => {
        check(/^value-/, (path) => ({ from: 128, to: usedEnd(path), count: 24 }))
      })

      test('what lies behind the records does not matter', () => {
        check(/^segment-/, (path) => ({
          from: usedEnd(path) + 8,
          to: usedEnd(path) + 1000,
          count: 20,
        }))
      })

      if (mapping === 'mmap') {
        test('files that count on the same boot only do not matter on another', () => {
          const all = check(/^(control|buckets|overflow|slots|keyspaces)$/, (path) => ({
            from: 0,
            to: Math.min(readFileSync(path).length, 8192),
            count: 10,
          }))
          for (const outcomes of all) assert.equal(outcomes.refused, 0)
        })
      }
    })
  }
}
