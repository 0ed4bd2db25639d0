/**
 * Goal: reads of what is not in memory wait off the event loop, and answer as gets do.
 * Method: a store whose files were dropped from the page cache, which is asked for its records again.
 * Properties checked: that what `prefetch` names is resident afterwards and the rest is not; values, of all
 *   sizes; missing keys; keys that change, and stores that close, while one waits.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { find, locateValue } from '../../src/engine/read.js'
import { open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { asStoreError, refused } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 26
const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const

type Bytes = Store<Uint8Array>

/** Asks the system to drop the files from its page cache. */
function dropFromCache(directory: string): void {
  for (const name of readdirSync(directory)) {
    spawnSync('dd', [
      `of=${join(directory, name)}`,
      'oflag=nocache',
      'conv=notrunc,fdatasync',
      'count=0',
    ])
  }
}

/** Asking for single pages takes a thousand times as long as the test. */
const stretchSizeBytes = 65_536
/** Whole stretches within a value. */
const stretchesOfValue = Math.floor(1_000_000 / stretchSizeBytes) - 1

/** Stretches of the first segment that are in memory. Looking at a key's record would bring in others. */
function residentStretches(store: Bytes): number {
  const { log } = engineOf(store)
  if (log.words[0] === undefined) log.mapSlot(0)
  let count = 0
  for (let offset = 0; offset < segmentSizeBytes; offset += stretchSizeBytes) {
    if (log.isResident(0, offset, stretchSizeBytes)) count++
  }
  return count
}

/** Of a key whose record has been brought in. */
function isResident(store: Bytes, key: string): boolean {
  const engine = engineOf(store)
  engine.key.setText(key)
  assert.ok(find(engine, 0))
  locateValue(engine)
  const { valueSizeBytes, valueSlot, valueStart } = engine.lookup
  return engine.log.isResident(valueSlot, valueStart, valueSizeBytes)
}

const bytesOf = (index: number): Buffer => Buffer.alloc(1_000_000, index)

function fill(directory: string): void {
  const child = fileURLToPath(new URL('./cold-child.js', import.meta.url))
  assert.equal(spawnSync(process.execPath, [child, directory], { stdio: 'inherit' }).status, 0)
}

describe('reads of cold records', () => {
  test('what was brought in is in memory, and what was not is not', async (t) => {
    const directory = temporaryDirectory(t)
    fill(directory)
    dropFromCache(directory)
    const store: Bytes = open(directory, options)
    const stretchCount = segmentSizeBytes / stretchSizeBytes
    if (residentStretches(store) > stretchCount / 2) {
      await store.close()
      t.skip('the file system keeps everything in memory')
      return
    }
    const before = residentStretches(store)
    await store.prefetch(['13', 'large', 'missing'])
    assert.ok(residentStretches(store) - before >= stretchesOfValue)
    assert.ok(isResident(store, '13'))
    assert.ok(isResident(store, 'large'))
    assert.ok(residentStretches(store) < stretchCount, 'and nothing else')
    const between = residentStretches(store)
    await store.prefetch(['20'])
    assert.ok(residentStretches(store) - between >= stretchesOfValue)
    assert.deepEqual(await store.getAsync('20'), bytesOf(20))
    assert.ok(isResident(store, '20'))
    assert.ok(residentStretches(store) < stretchCount)
    const keys = ['11', 'missing', 'large', '12']
    assert.deepEqual(await store.getManyAsync(keys), store.getMany(keys))
    await store.close()
  })

  test('they answer as gets, wherever the values are', async (t) => {
    for (const mapping of ['auto', 'file'] as const) {
      const directory = temporaryDirectory(t)
      fill(directory)
      dropFromCache(directory)
      const store: Bytes = open(directory, { ...options, mapping })
      const keys = [...Array.from({ length: 33 }, (_, index) => `${index}`), 'large']
      const values = await store.getManyAsync(new Set(keys))
      assert.deepEqual(values, store.getMany(keys))
      assert.deepEqual(await store.getAsync('7'), bytesOf(7))
      assert.equal(await store.getAsync('missing'), undefined)
      await store.close()
    }
    const memory: Bytes = open(':memory:', options)
    memory.put('a', bytesOf(1))
    assert.deepEqual(await memory.getAsync('a'), bytesOf(1))
    await memory.close()
  })

  test('the value is that of the moment when it resolves, of the key as it was given', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<Uint8Array, Uint8Array>(directory, { ...options, keyEncoding: 'binary' })
    const key = Buffer.from('a')
    store.put(key, bytesOf(1))
    const answer = store.getAsync(key)
    const many = store.getManyAsync([key])
    key.write('b')
    store.put(Buffer.from('a'), bytesOf(2))
    assert.deepEqual(await answer, bytesOf(2))
    assert.deepEqual(await many, [bytesOf(2)])
    await store.close()
  })

  test('a wrong key is refused, and a store that closes meanwhile says so', async (t) => {
    const directory = temporaryDirectory(t)
    fill(directory)
    dropFromCache(directory)
    const store: Bytes = open(directory, options)
    for (const call of [
      () => store.getAsync(5 as never),
      () => store.getManyAsync(['a', 5 as never]),
      () => store.prefetch([5 as never]),
    ]) {
      const error = await call().then(
        () => undefined,
        (error: unknown) => error,
      )
      refused(
        () => {
          throw error
        },
        TypeError,
        'key',
        '5',
      )
    }
    const answers = Array.from({ length: 30 }, (_, index) => store.getAsync(`${index}`))
    const prefetched = store.prefetch(Array.from({ length: 30 }, (_, index) => `${index}`))
    const settled = Promise.allSettled(answers)
    await store.close()
    await prefetched
    for (const [index, answer] of (await settled).entries()) {
      if (answer.status === 'fulfilled') assert.deepEqual(answer.value, bytesOf(index))
      else asStoreError(answer.reason, 'STORE_CLOSED')
    }
    await assert.rejects(
      store.getAsync('1'),
      (error) => asStoreError(error, 'STORE_CLOSED') !== undefined,
    )
  })
})
