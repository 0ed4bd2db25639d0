/**
 * Goal: who may not write a store's directory reads ranges and snapshots there all the same.
 * Method: readers of a directory without the right to write, as a user for whom rights count, of
 *   stores that were closed, or whose writer was killed; readers on a read-only mount beside writers.
 * Properties checked: ranges, keys, counts, snapshots and scans give what the store has, whether its
 *   ordered index was built or not; beside a writer each gives one state of the store or is refused; the
 *   files stay as they are.
 */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open, type RangeOptions, type StoreOptions } from '../../src/store/index.js'
import { varve } from '../cli/command.js'
import { noMountNamespaces } from '../store/child.js'
import { contentsOf, copyStore, temporaryDirectory } from '../support/directory.js'
import { atEnd, type Ending } from '../support/ending.js'
import { type Identity, openOnReadOnlyMount, openSession, type Session } from './session.js'
import type { Step, Watched } from './session-child.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const
const nobody = 65_534
/** For root, rights do not count. */
const identity: Identity = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

type Entry = [key: string, value: unknown]

/** A directory of the user's, who may write there. */
function directoryOfUser(t: Ending): string {
  const parent = temporaryDirectory(t)
  chmodSync(parent, 0o755)
  const path = join(parent, 'store')
  mkdirSync(path)
  // Its removal takes the right to write it.
  atEnd(t, () => chmodSync(path, 0o755))
  if (identity.uid !== undefined) chownSync(path, nobody, nobody)
  return path
}

function openAsUser(t: Ending, path: string, more: StoreOptions = {}): Promise<Session> {
  return openSession(t, path, { ...options, ...more }, process.execPath, identity)
}

const byBytes = ([a]: Entry, [b]: Entry): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Enough for some segments, and several levels of the ordered index. */
async function fill(session: Session): Promise<Entry[]> {
  const { value } = await session.do({ do: 'fill', keys: 2500 })
  return (value as Entry[]).sort(byBytes)
}

async function requireReads(reader: Session, expected: readonly Entry[]): Promise<void> {
  const ask = async (step: Step): Promise<unknown> => (await reader.do(step)).value
  const keys = expected.map(([key]) => key)
  const ranges: [RangeOptions<string>, Entry[]][] = [
    [{}, [...expected]],
    [{ reverse: true }, [...expected].reverse()],
    [{ prefix: 'key 1' }, expected.filter(([key]) => key.startsWith('key 1'))],
    [{ gt: keys[10], lte: keys[300], limit: 200 }, expected.slice(11, 211)],
  ]
  await ask({ do: 'snapshot' })
  for (const inSnapshot of [false, true]) {
    for (const [range, entries] of ranges) {
      assert.deepEqual(await ask({ do: 'range', range, inSnapshot }), entries)
      const keysOnly = entries.map(([key]) => key)
      assert.deepEqual(await ask({ do: 'keys', range, inSnapshot }), keysOnly)
      assert.equal(await ask({ do: 'countRange', range, inSnapshot }), entries.length)
    }
    const ofOther = await ask({ do: 'range', keyspace: 'other', inSnapshot })
    assert.deepEqual(ofOther, [['of another keyspace', 1]])
  }
  assert.deepEqual(((await ask({ do: 'scan' })) as Entry[]).sort(byBytes), expected)
  assert.equal(await ask({ do: 'lastEntry' }), 'last')
  assert.equal(await ask({ do: 'getInSnapshot', key: keys[3] }), expected[3][1])
  assert.equal(await ask({ do: 'getInSnapshot', key: 'key 0' }), undefined, 'it was deleted')
  await ask({ do: 'closeSnapshot' })
}

describe('a reader without the right to write the directory', () => {
  for (const wasBuilt of [false, true]) {
    for (const end of ['closed', 'left by a killed writer', 'copied'] as const) {
      test(`reads ranges and snapshots of a store that was ${end}, its ordered index ${wasBuilt ? '' : 'not '}built`, async (t) => {
        const path = directoryOfUser(t)
        const writer = await openAsUser(t, path)
        if (wasBuilt) await writer.do({ do: 'countRange' })
        const expected = await fill(writer)
        await writer.do({ do: 'put', key: 'last', value: 'last' })
        expected.push(['last', 'last'])
        if (end === 'left by a killed writer') await writer.kill()
        else await writer.do({ do: 'close' })
        let directory = path
        if (end === 'copied') {
          directory = directoryOfUser(t)
          copyStore(path, directory)
          for (const name of Object.keys(contentsOf(directory))) {
            if (identity.uid !== undefined) chownSync(join(directory, name), nobody, nobody)
          }
        }
        chmodSync(directory, 0o555)
        const before = contentsOf(directory)
        const reader = await openAsUser(t, directory, { readOnly: true })
        const kinds = { closed: 'clean', 'left by a killed writer': 'same-boot', copied: 'replay' }
        assert.equal((await reader.do({ do: 'recovery' })).value, kinds[end])
        await requireReads(reader, expected)
        await reader.do({ do: 'close' })
        // Without a mapping, what a killed one left cannot be finished.
        if (end !== 'left by a killed writer') {
          const unmapped = await openAsUser(t, directory, { readOnly: true, mapping: 'file' })
          await requireReads(unmapped, expected)
        }
        assert.deepEqual(contentsOf(directory), before)
      })
    }
  }

  test('scans and counts by the command', async (t) => {
    const path = directoryOfUser(t)
    const writer = await openAsUser(t, path)
    const expected = await fill(writer)
    await writer.do({ do: 'close' })
    chmodSync(path, 0o555)
    const scanned = varve(['scan', path, '--keys'], identity)
    assert.equal(scanned.stderr, '')
    assert.equal(scanned.stdout, expected.map(([key]) => `${key}\n`).join(''))
    const counted = varve(['count', path, '--prefix', 'key 1'], identity)
    const inPrefix = expected.filter(([key]) => key.startsWith('key 1'))
    assert.equal(counted.stdout, `${inPrefix.length}\n`, counted.stderr)
  })

  for (const wasBuilt of [false, true]) {
    test(`finds a batch whole whose writer was killed within it, the ordered index ${wasBuilt ? '' : 'not '}built`, async (t) => {
      const path = directoryOfUser(t)
      const writer = await openAsUser(t, path)
      await writer.do({ do: 'put', key: 'a', value: 1 })
      if (wasBuilt) await writer.do({ do: 'countRange' })
      // The rest of it takes buckets and pages that the files have no room for.
      await writer.dieIn({ do: 'dieInBatch', keys: 40_000, applied: 100 })
      chmodSync(path, 0o555)
      const before = contentsOf(path)
      const reader = await openAsUser(t, path, { readOnly: true })
      assert.equal((await reader.do({ do: 'count' })).value, 40_001)
      assert.equal((await reader.do({ do: 'countRange' })).value, 40_001)
      assert.equal(await reader.get('batch 39999'), '39999')
      assert.deepEqual(contentsOf(path), before)
    })
  }

  test('goes on with ranges when a writer comes', async (t) => {
    const path = directoryOfUser(t)
    const former = await openAsUser(t, path)
    await former.do({ do: 'put', key: 'b', value: 1 })
    await former.do({ do: 'close' })
    chmodSync(path, 0o555)
    const reader = await openAsUser(t, path, { readOnly: true })
    const keys = async (): Promise<unknown> => (await reader.do({ do: 'keys' })).value
    assert.deepEqual(await keys(), ['b'])
    await reader.do({ do: 'snapshot' })
    chmodSync(path, 0o755)
    const writer = await openAsUser(t, path)
    assert.deepEqual((await reader.do({ do: 'keys', inSnapshot: true })).value, ['b'])
    await writer.do({ do: 'put', key: 'a', value: 1 })
    assert.deepEqual(await keys(), ['a', 'b'])
    await writer.do({ do: 'delete', key: 'b' })
    assert.deepEqual(await keys(), ['a'])
    for (const step of ['keys', 'countRange'] as const) {
      assert.equal((await reader.try({ do: step, inSnapshot: true })).code, 'STORE_IN_USE')
    }
    await reader.do({ do: 'closeSnapshot' })
    const expected = await fill(writer)
    assert.deepEqual(
      await keys(),
      ['a', ...expected.map(([key]) => key)],
      'what was put and deleted since',
    )
    // Built by the writer, it is read where it lies.
    assert.equal((await writer.do({ do: 'countRange' })).value, expected.length + 1)
    await writer.do({ do: 'put', key: 'c', value: 1 })
    assert.deepEqual(await keys(), ['a', 'c', ...expected.map(([key]) => key)])
  })
})

describe('a reader on a read-only mount', { skip: noMountNamespaces }, () => {
  for (const isBuilt of [false, true]) {
    test(`reads ranges beside a writer, the ordered index ${isBuilt ? '' : 'not '}built`, async (t) => {
      const path = temporaryDirectory(t)
      const writer = await openSession(t, path, options)
      const expected = await fill(writer)
      await writer.do({ do: 'put', key: 'last', value: 'last' })
      expected.push(['last', 'last'])
      if (isBuilt) await writer.do({ do: 'countRange' })
      const reader = await openOnReadOnlyMount(t, path)
      await requireReads(reader, expected)
      await writer.do({ do: 'put', key: 'a new one', value: 1 })
      await writer.do({ do: 'delete', key: expected[0][0] })
      expected[0] = ['a new one', 1]
      assert.deepEqual((await reader.do({ do: 'range' })).value, expected)
    })

    test(`gives one state of a store that changes, or is refused, the ordered index ${isBuilt ? '' : 'not '}built`, async (t) => {
      const path = temporaryDirectory(t)
      const writer = await openSession(t, path, options)
      const keys = 500
      await writer.do({ do: 'stamp', keys, batches: 1 })
      if (isBuilt) await writer.do({ do: 'countRange' })
      const reader = await openOnReadOnlyMount(t, path)
      const [, { value }] = await Promise.all([
        writer.do({ do: 'stamp', keys, batches: 200 }),
        reader.do({ do: 'watchStamps', keys }),
      ])
      const { refused, states, torn } = value as Watched
      t.diagnostic(`${states} states were seen, ${refused} ranges refused`)
      assert.deepEqual(torn, [])
      assert.ok(states > 1)
    })
  }

  test('is refused what it can no longer show, and shows it again to who asks anew', async (t) => {
    const path = temporaryDirectory(t)
    const writer = await openSession(t, path, options)
    const expected = await fill(writer)
    const reader = await openOnReadOnlyMount(t, path)
    await reader.do({ do: 'begin' })
    await reader.do({ do: 'snapshot' })
    assert.deepEqual((await reader.do({ do: 'next', count: 10 })).value, expected.slice(0, 10))
    // A sync takes nothing away.
    await writer.do({ do: 'sync' })
    assert.deepEqual((await reader.do({ do: 'next', count: 300 })).value, expected.slice(10, 310))
    await writer.do({ do: 'put', key: 'z', value: 1 })
    const refused: Step[] = [
      { do: 'next', count: 300 },
      { do: 'getInSnapshot', key: expected[0][0] },
      { do: 'getInSnapshot', key: 'never there' },
      { do: 'countInSnapshot' },
      { do: 'range', inSnapshot: true, range: { limit: 1 } },
    ]
    for (const step of refused) {
      const answer = await reader.try(step)
      assert.equal(answer.code, 'STORE_IN_USE', `${step.do}: ${JSON.stringify(answer)}`)
    }
    await reader.do({ do: 'snapshot' })
    assert.equal((await reader.do({ do: 'countInSnapshot' })).value, expected.length + 1)
  })

  test('has an ordered index of its own anew when the files were replaced', async (t) => {
    const parent = temporaryDirectory(t)
    const path = join(parent, 'copy')
    await using original = open<number>(join(parent, 'original'), options)
    original.put('a', 1)
    await original.sync()
    copyStore(join(parent, 'original'), path)
    const reader = await openOnReadOnlyMount(t, path)
    assert.deepEqual((await reader.do({ do: 'keys' })).value, ['a'])
    await using writer = open<number>(path)
    assert.equal(writer.stats().lastRecovery.kind, 'replay')
    writer.put('b', 2)
    assert.deepEqual((await reader.do({ do: 'keys' })).value, ['a', 'b'])
  })
})
