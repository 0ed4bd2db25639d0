/**
 * Goal: files that are cut, grown, lost, mixed up or put in from elsewhere never lead to a wrong
 *   answer, to a crash, or to a change of the damaged store.
 * Method: one thing is done to the files of a small closed store, then it is opened as one of
 *   another boot, to read and to write.
 * Properties checked: the right answers, or STORE_CORRUPT or STORE_FORMAT; a refused store is left
 *   byte for byte as it was (I12).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  contentsOf,
  copyStore,
  removeDirectory,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { Random } from '../support/random.js'
import { isThorough } from '../support/thorough.js'
import type { CutSetup } from './cut-child.js'
import { type Fixture, makeFixture, Outcomes, outcomeOf } from './fixture.js'

const volatileNames = ['control', 'buckets', 'overflow', 'slots', 'keyspaces', 'lock']
const lengthCount = isThorough ? 400 : 8

interface Case {
  readonly what: string
  readonly damage: (directory: string) => void
}

/** Does each damage to a copy of its own and opens that, to read and then to write. */
function openDamaged(fixture: Fixture, parent: string, cases: readonly Case[]): Outcomes {
  const outcomes = new Outcomes()
  for (const { what, damage } of cases) {
    const directory = join(parent, 'damaged')
    copyStore(fixture.directory, directory)
    damage(directory)
    const contents = contentsOf(directory)
    const read = outcomeOf(directory, fixture)
    outcomes.add(what, read)
    if (!isSame(contentsOf(directory), contents)) {
      outcomes.add(what, 'opening it to read modified it')
    }
    const written = outcomeOf(directory, fixture, { readOnly: false })
    outcomes.add(`${what}, for writing`, written)
    if (written === 'refused' && !isSame(contentsOf(directory), contents)) {
      outcomes.add(what, 'opening it to write was refused and modified it')
    }
    removeDirectory(directory)
  }
  return outcomes
}

/** The lock's text names the last opener; it is the one file that opening writes first. */
function isSame(actual: Record<string, string>, expected: Record<string, string>): boolean {
  const { lock: _former, ...before } = expected
  const { lock: _latter, ...now } = actual
  return JSON.stringify(now) === JSON.stringify(before)
}

function swapFiles(directory: string, a: string, b: string): void {
  renameSync(join(directory, a), join(directory, 'swapped'))
  renameSync(join(directory, b), join(directory, a))
  renameSync(join(directory, 'swapped'), join(directory, b))
}

/** In a process of its own: a mapping behind the end of a file would take this one down. */
function openCut(fixture: Fixture, parent: string, name: string): Outcomes {
  const setup: CutSetup = {
    ...{ directory: fixture.directory, mapping: fixture.mapping, parent, name },
    state: [...fixture.state].map(([space, entries]) => [space, [...entries]]),
    lengths: lengthsOf(join(fixture.directory, name)),
  }
  const child = fileURLToPath(new URL('../../linked/test/damage/cut-child.js', import.meta.url))
  const run = spawnSync(process.execPath, [child, JSON.stringify(setup)], { encoding: 'utf8' })
  const lines = run.stdout.split('\n').filter((line) => line !== '')
  const results = lines.map((line) => JSON.parse(line) as [string, string])
  const last = results[results.length - 1]
  assert.equal(run.signal, null, `${run.signal} took the process down: ${last?.join(', ')}`)
  assert.equal(run.stderr, '')
  assert.equal(results.length, 4 * setup.lengths.length)
  const outcomes = new Outcomes()
  for (const [what, outcome] of results) {
    if (outcome !== 'opening' && outcome !== 'opening for writing') outcomes.add(what, outcome)
  }
  return outcomes
}

/** Lengths to cut a file to: the ends of what it holds, and some in between. */
function lengthsOf(path: string): number[] {
  const bytes = readFileSync(path)
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1
  const random = new Random(bytes.length)
  const some = Array.from({ length: lengthCount }, () => random.below(used + 1))
  const ends = [0, 1, 7, 8, 64, 127, 128, 129, 4095, 4096, 4097, used - 1, used, bytes.length - 1]
  return [...ends, ...some].filter((length) => length < bytes.length && length >= 0)
}

for (const kind of ['closed', 'recovered'] as const) {
  describe(`a ${kind} store with damaged files`, () => {
    const cleanups: (() => void)[] = []
    const cleanup = { after: (action: () => void) => void cleanups.push(action) }
    let fixture: Fixture
    let parent = ''
    before(async () => {
      fixture = await makeFixture(cleanup, kind)
      parent = temporaryDirectory(cleanup)
    })
    after(() => {
      for (const action of cleanups) action()
    })

    const segments = (): string[] => segmentNames(fixture.directory)

    function checkCut(pattern: RegExp): void {
      const names = ['superblock', 'manifest', ...segments()].filter((name) => pattern.test(name))
      assert.ok(names.length > 0)
      for (const name of names) {
        const outcomes = openCut(fixture, parent, name)
        assert.deepEqual(outcomes.summary(), [])
        assert.ok(outcomes.refused > 0)
      }
    }

    test('gives the right answers or refuses when a superblock or manifest is cut', () =>
      checkCut(/^superblock|^manifest/))

    test('gives the right answers or refuses when a log segment is cut', () =>
      checkCut(/^segment-/))

    test('gives the right answers or refuses when a value segment is cut', () =>
      checkCut(/^value-/))

    test('gives the right answers when bytes are appended', () => {
      const names = ['superblock', ...segments(), ...volatileNames]
      const tails = {
        zeros: Buffer.alloc(5000),
        garbage: new Random(1).bytes(5000),
        'one byte': Buffer.from([1]),
      }
      const cases = names.flatMap((name) =>
        Object.entries(tails).map(([what, bytes]) => ({
          what: `${name} with ${what} behind`,
          damage: (directory: string) => appendFileSync(join(directory, name), bytes),
        })),
      )
      const outcomes = openDamaged(fixture, parent, cases)
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.refused, 0)
    })

    test('refuses a manifest with bytes behind', () => {
      const outcomes = openDamaged(fixture, parent, [
        { what: 'zeros', damage: (to) => appendFileSync(join(to, 'manifest'), Buffer.alloc(32)) },
        { what: 'a byte', damage: (to) => appendFileSync(join(to, 'manifest'), Buffer.from([0])) },
      ])
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
    })

    for (const name of ['superblock', 'manifest']) {
      test(`refuses to open without its ${name}`, () => {
        const outcomes = openDamaged(fixture, parent, [
          { what: name, damage: (directory) => rmSync(join(directory, name)) },
        ])
        assert.deepEqual(outcomes.summary(), [])
        assert.equal(outcomes.right, 0)
      })
    }

    test('refuses to open without one of its segments', () => {
      const outcomes = openDamaged(
        fixture,
        parent,
        segments().map((name) => ({ what: name, damage: (to) => rmSync(join(to, name)) })),
      )
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
    })

    test('gives the right answers without the files that count on the same boot only', () => {
      const outcomes = openDamaged(
        fixture,
        parent,
        volatileNames.map((name) => ({ what: name, damage: (to) => rmSync(join(to, name)) })),
      )
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.refused, 0)
    })

    test('refuses segments that have changed places or names', () => {
      const names = segments()
      const pairs = names.flatMap((a, index) => names.slice(index + 1).map((b) => [a, b] as const))
      const swaps = pairs.map(([a, b]) => ({
        what: `${a} and ${b} swapped`,
        damage: (directory: string) => swapFiles(directory, a, b),
      }))
      const copies = pairs.map(([a, b]) => ({
        what: `${a} in the place of ${b}`,
        damage: (directory: string) => copyFileSync(join(directory, a), join(directory, b)),
      }))
      const outcomes = openDamaged(fixture, parent, [...swaps, ...copies])
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
      assert.ok(outcomes.refused > 0)
    })

    test('refuses a segment under a number that it was not made with', () => {
      const [name] = segments()
      const outcomes = openDamaged(fixture, parent, [
        {
          what: 'a copy under a higher number',
          damage: (to) => copyFileSync(join(to, name), join(to, 'segment-0000000000000099')),
        },
        {
          what: 'renamed to a higher number',
          damage: (to) => renameSync(join(to, name), join(to, 'segment-0000000000000099')),
        },
      ])
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
    })

    test('refuses segments, a manifest and a superblock of another store', async (t) => {
      const other = await makeFixture(t, kind)
      const names = ['superblock', 'manifest', ...segments()]
      const cases = names.map((name) => ({
        what: `${name} of another store`,
        damage: (to: string) => copyFileSync(join(other.directory, name), join(to, name)),
      }))
      const outcomes = openDamaged(fixture, parent, cases)
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
    })

    test('refuses a superblock that is empty, zeros, text or random bytes', () => {
      const contents = [Buffer.alloc(0), Buffer.alloc(8192), 'text', new Random(2).bytes(8192)]
      const outcomes = openDamaged(
        fixture,
        parent,
        contents.map((bytes, index) => ({
          what: `superblock ${index}`,
          damage: (directory) => writeFileSync(join(directory, 'superblock'), bytes),
        })),
      )
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.right, 0)
    })

    test('is not hurt by what a killed opening leaves', () => {
      const leftovers = [
        'manifest.next',
        'superblock.next',
        'prepared-0001',
        `${segments()[0]}.copy`,
      ]
      const outcomes = openDamaged(
        fixture,
        parent,
        leftovers.map((name) => ({
          what: name,
          damage: (directory) => writeFileSync(join(directory, name), Buffer.alloc(700, 7)),
        })),
      )
      assert.deepEqual(outcomes.summary(), [])
      assert.equal(outcomes.refused, 0)
    })
  })
}

describe('a store that lost ground', () => {
  test('refuses a manifest, or a segment, of an earlier time', async (t) => {
    const fixture = await makeFixture(t, 'recovered')
    // The directory as it was before the last recovery lies beside.
    const earlier = join(fixture.directory, '..', '1')
    const names = ['manifest', ...segmentNames(earlier)]
    const changed = names.filter(
      (name) =>
        !readFileSync(join(earlier, name)).equals(readFileSync(join(fixture.directory, name))),
    )
    assert.deepEqual(changed, ['manifest'], 'segments of earlier epochs do not change')
    const outcomes = openDamaged(fixture, temporaryDirectory(t), [
      {
        what: 'an earlier manifest',
        damage: (to) => copyFileSync(join(earlier, 'manifest'), join(to, 'manifest')),
      },
    ])
    assert.deepEqual(outcomes.summary(), [])
    assert.equal(outcomes.right, 0)
    assert.ok(statSync(join(fixture.directory, 'manifest')).size > 60)
  })
})
