/**
 * Goal: a checkpoint that is damaged, cut, lost, mixed up or of elsewhere never leads to a wrong answer,
 *   nor keeps a store from being opened; it is passed over, and said.
 * Method: one thing is done to a checkpoint of a closed store, which is then opened as one of another
 *   boot, to read and to write. And: a checkpoint is whole, and what it covers is damaged.
 * Properties checked: the right answers, from an older checkpoint or the whole log; what is reported; the
 *   damaged file stays as it is. What the log lost below a checkpoint is STORE_CORRUPT.
 */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import { checkpointHeaderSizeBytes, chunkHeaderSizeBytes } from '../../src/format/checkpoint.js'
import { checkpointFileName } from '../../src/format/file-names.js'
import { open, type RecoveryReport } from '../../src/store/index.js'
import {
  contentsOf,
  copyStore,
  overwrite,
  removeDirectory,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { storeErrorOf } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const
const keyCount = 300

interface Fixture {
  readonly directory: string
  /** The older one, and the newest. */
  readonly ids: readonly [number, number]
  readonly expected: ReadonlyMap<string, string>
}

async function makeFixture(parent: string): Promise<Fixture> {
  const live = join(parent, 'live')
  const store = open<string>(live, options)
  const expected = new Map<string, string>()
  const put = (key: string, value: string): void => {
    store.put(key, value)
    expected.set(key, value)
  }
  for (let index = 0; index < keyCount; index++) put(`key ${index}`, `first ${index}`)
  put('large', 'x'.repeat(300_000))
  const older = await store.checkpoint()
  for (let index = 0; index < keyCount; index += 3) put(`key ${index}`, `second ${index}`)
  for (let index = 1; index < keyCount; index += 5) {
    store.delete(`key ${index}`)
    expected.delete(`key ${index}`)
  }
  for (let index = 0; index < 10; index++) put('filling', `${index}`.repeat(150_000))
  const newest = await store.checkpoint()
  put('key 0', 'third')
  await store.close()
  const directory = join(parent, 'closed')
  copyStore(live, directory)
  return { directory, ids: [older.id, newest.id], expected }
}

describe('a checkpoint', () => {
  const cleanups: (() => void)[] = []
  const cleanup = { after: (action: () => void) => void cleanups.push(action) }
  let parent = ''
  let fixture: Fixture
  let newest = ''
  let older = ''
  before(async () => {
    parent = temporaryDirectory(cleanup)
    fixture = await makeFixture(parent)
    older = checkpointFileName(fixture.ids[0])
    newest = checkpointFileName(fixture.ids[1])
  })
  after(() => {
    for (const action of cleanups) action()
  })

  /** Opens it, compares everything, and leaves it; returns what recovery did. */
  function check(directory: string, readOnly: boolean, what: string): RecoveryReport {
    const store = open<string>(directory, { readOnly, syncIntervalMs: 0 })
    try {
      assert.equal(store.count(), fixture.expected.size, what)
      for (const [key, value] of fixture.expected) assert.equal(store.get(key), value, what)
      for (let index = 1; index < keyCount; index += 5) {
        assert.equal(
          store.has(`key ${index}`),
          index % 3 === 0 && fixture.expected.has(`key ${index}`),
        )
      }
      return store.stats().lastRecovery
    } finally {
      abandon(engineOf(store))
    }
  }

  /** Does something to a copy, and opens that to read and to write. */
  function damaged(
    what: string,
    damage: (directory: string) => void,
    expected: { readonly used: number | undefined; readonly passedOver: readonly string[] },
  ): RecoveryReport {
    const directory = join(parent, 'damaged')
    copyStore(fixture.directory, directory)
    damage(directory)
    const contents = contentsOf(directory)
    let report = check(directory, true, what)
    assert.deepEqual(contentsOf(directory), contents, `${what}: reading changes nothing`)
    for (const readOnly of [true, false]) {
      if (!readOnly) report = check(directory, false, what)
      assert.equal(report.checkpoint, expected.used, what)
      assert.deepEqual(
        report.passedOver.map(({ file }) => file),
        expected.passedOver.map((name) => join(directory, name)),
        what,
      )
    }
    removeDirectory(directory)
    return report
  }

  test('is used where it is whole', () => {
    const report = damaged('nothing', () => undefined, { used: fixture.ids[1], passedOver: [] })
    assert.deepEqual(report.rows.slice(1, 3), ['newest-checkpoint', 'last-marker'])
    assert.equal(report.recordsReplayed, 1)
  })

  test('is passed over where any bit is wrong', () => {
    const path = join(fixture.directory, newest)
    const bytes = readFileSync(path)
    const headers = [0, checkpointHeaderSizeBytes, checkpointHeaderSizeBytes + chunkHeaderSizeBytes]
    const places = isThorough
      ? Array.from(bytes, (_, at) => at)
      : [
          ...headers.flatMap((from) => Array.from({ length: 12 }, (_, at) => from + at * 5)),
          ...Array.from({ length: 30 }, (_, at) => Math.floor(((at + 0.5) * bytes.length) / 30)),
          bytes.length - 1,
        ]
    const directory = join(parent, 'flipped')
    copyStore(fixture.directory, directory)
    for (const at of places) {
      overwrite(join(directory, newest), at, Uint8Array.of(bytes[at] ^ (1 << ((at + seed) % 8))))
      const report = check(directory, true, `byte ${at}`)
      assert.equal(report.checkpoint, fixture.ids[0], `byte ${at}`)
      assert.equal(report.rows[1], 'older-checkpoint')
      assert.deepEqual(
        report.passedOver.map(({ id }) => id),
        [fixture.ids[1]],
      )
      overwrite(join(directory, newest), at, bytes.subarray(at, at + 1))
    }
  })

  test('is passed over where it is cut, or goes on', () => {
    const { length } = readFileSync(join(fixture.directory, newest))
    const random = new Random(seed)
    const lengths = [0, 1, 8, 255, 256, 257, 320, length - 64, length - 1, random.below(length)]
    for (const size of lengths) {
      damaged(`cut to ${size}`, (to) => truncateSync(join(to, newest), size), {
        used: fixture.ids[0],
        passedOver: [newest],
      })
    }
    for (const tail of [Buffer.alloc(64), Buffer.alloc(1), random.bytes(5000)]) {
      const file = readFileSync(join(fixture.directory, newest))
      const longer = Buffer.concat([file, tail])
      damaged(`${tail.length} more`, (to) => writeFileSync(join(to, newest), longer), {
        used: fixture.ids[0],
        passedOver: [newest],
      })
    }
  })

  test('is passed over where it is something else, or has another one’s name', () => {
    const one = { used: fixture.ids[0], passedOver: [newest] }
    damaged('text', (to) => writeFileSync(join(to, newest), 'text'), one)
    damaged('a segment', (to) => copyFileSync(join(to, segmentNames(to)[0]), join(to, newest)), one)
    damaged('the older one', (to) => copyFileSync(join(to, older), join(to, newest)), one)
    const far = checkpointFileName(fixture.ids[1] + 1000)
    damaged('a higher name', (to) => renameSync(join(to, newest), join(to, far)), {
      used: fixture.ids[0],
      passedOver: [far],
    })
  })

  test('is passed over where chunks have changed places, or come from another one', () => {
    const bytes = readFileSync(join(fixture.directory, newest))
    const other = readFileSync(join(fixture.directory, older))
    // Home buckets are the last but one chunk; both checkpoints have a table of 256.
    const homes = (file: Buffer): number => file.length - 64 - 64 - 64 - 256 * 64
    const mixed = Buffer.from(bytes)
    other.copy(mixed, homes(bytes), homes(other), homes(other) + 64 + 256 * 64)
    assert.notDeepEqual(mixed, bytes)
    damaged('buckets of the older one', (to) => writeFileSync(join(to, newest), mixed), {
      used: fixture.ids[0],
      passedOver: [newest],
    })
    const swapped = Buffer.concat([
      bytes.subarray(0, homes(bytes)),
      bytes.subarray(bytes.length - 128),
      bytes.subarray(homes(bytes), bytes.length - 128),
    ])
    damaged('buckets swapped', (to) => writeFileSync(join(to, newest), swapped), {
      used: fixture.ids[0],
      passedOver: [newest],
    })
  })

  test('of another store is passed over, and left', async () => {
    const other = await makeFixture(temporaryDirectory(cleanup))
    const name = checkpointFileName(other.ids[1])
    damaged(
      'one of another store',
      (to) => copyFileSync(join(other.directory, name), join(to, name)),
      // Two stores of the same changes have the same addresses: it is in the place of its own.
      { used: fixture.ids[0], passedOver: [newest] },
    )
    const directory = join(parent, 'with-foreign')
    copyStore(fixture.directory, directory)
    copyFileSync(join(other.directory, name), join(directory, checkpointFileName(99)))
    const store = open<string>(directory, options)
    assert.deepEqual(
      store.checkpoints().map(({ id }) => id),
      fixture.ids,
    )
    store.pruneCheckpoints(0)
    assert.deepEqual(
      readdirSync(directory).filter((file) => file.startsWith('checkpoint-')),
      [checkpointFileName(99)],
    )
    await store.close()
  })

  test('of a future that the store does not have is evidence of a loss, until another recovery', async () => {
    // Two copies go on by themselves; one gets the checkpoint of the other.
    const mine = join(parent, 'mine')
    const theirs = join(parent, 'theirs')
    copyStore(fixture.directory, mine)
    copyStore(fixture.directory, theirs)
    const one = open<string>(mine, options)
    one.put('only', 'mine')
    await one.close()
    const two = open<string>(theirs, options)
    two.put('only', 'theirs, and something else')
    two.put('other', 'theirs'.repeat(1000))
    const { id } = await two.checkpoint()
    await two.close()
    const found = join(parent, 'found')
    copyStore(mine, found)
    copyFileSync(join(theirs, checkpointFileName(id)), join(found, checkpointFileName(id)))
    // It fits the manifest, which is the same, and not the log: by that, records were lost.
    storeErrorOf(() => open(found, { readOnly: true }), 'STORE_CORRUPT')
    // Behind another recovery it is of another epoch's end, and no evidence any more.
    const later = join(parent, 'later')
    copyStore(mine, later)
    abandon(engineOf(open<string>(later, options)))
    copyFileSync(join(theirs, checkpointFileName(id)), join(later, checkpointFileName(id)))
    const last = join(parent, 'last')
    copyStore(later, last)
    const store = open<string>(last, { readOnly: true })
    assert.equal(store.get('only'), 'mine')
    assert.equal(store.stats().lastRecovery.checkpoint, fixture.ids[1])
    assert.deepEqual(
      store.stats().lastRecovery.passedOver.map((passed) => passed.id),
      [id],
    )
    await store.close()
  })

  test('and the older one, both damaged, leave the whole log', () => {
    const report = damaged(
      'both',
      (to) => {
        truncateSync(join(to, newest), 100)
        truncateSync(join(to, older), 1000)
      },
      { used: undefined, passedOver: [newest, older] },
    )
    assert.deepEqual(report.rows.slice(1, 3), ['no-usable-checkpoint', 'last-marker'])
    const gone = damaged(
      'none',
      (to) => {
        rmSync(join(to, newest))
        rmSync(join(to, older))
      },
      { used: undefined, passedOver: [] },
    )
    assert.equal(gone.rows[1], 'whole-log')
  })

  test('that is passed over is told by an event, and by verify', async () => {
    const directory = join(parent, 'told')
    copyStore(fixture.directory, directory)
    truncateSync(join(directory, newest), 5000)
    const store = open<string>(directory, options)
    const warnings: string[] = []
    store.on('warning', (words) => warnings.push(words))
    await new Promise(setImmediate)
    assert.equal(warnings.length, 1)
    assert.ok(warnings[0].includes(join(directory, newest)))
    const { ok, problems } = await store.verify()
    assert.equal(ok, false)
    assert.deepEqual(
      problems.map(({ file }) => file),
      [join(directory, newest)],
    )
    // A new one takes its place, and pruning takes it away.
    await store.checkpoint()
    store.pruneCheckpoints(1)
    assert.equal((await store.verify()).ok, true)
    await store.close()
  })

  test('is evidence that what it covers was synced', () => {
    const directory = join(parent, 'lost')
    const [log] = segmentNames(fixture.directory).filter((name) => name.startsWith('segment-'))
    const cases: Record<string, (path: string) => void> = {
      missing: (path) => rmSync(path),
      'cut short': (path) => truncateSync(path, 10_000),
    }
    for (const [what, damage] of Object.entries(cases)) {
      copyStore(fixture.directory, directory)
      for (const name of ['control', 'buckets', 'overflow', 'slots', 'keyspaces', 'order']) {
        rmSync(join(directory, name))
      }
      damage(join(directory, log))
      const contents = contentsOf(directory)
      for (const readOnly of [true, false]) {
        storeErrorOf(() => open(directory, { readOnly }), 'STORE_CORRUPT')
      }
      assert.deepEqual({ ...contentsOf(directory), lock: '' }, { ...contents, lock: '' }, what)
      removeDirectory(directory)
    }
  })
})
