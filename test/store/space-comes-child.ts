/**
 * Meets a full file system at one point after the other, and has space again after each: see
 * full-disk.test.ts. The rest of the file system is taken by a file of its own, which is then removed.
 */
import assert from 'node:assert/strict'
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { open, type Store, StoreError, type StoreOptions } from '../../src/store/index.js'

const [path, mapping] = process.argv.slice(2)
const options = {
  ...{ segmentSizeBytes: 2 ** 20, encoding: 'binary', syncIntervalMs: 0 },
  ...{ mapping, autoCompact: false, autoCheckpoint: false },
} as StoreOptions<Buffer>
const directory = join(path, 'store')
const ballast = join(path, 'ballast')
const isMapped = mapping === 'mmap'

/** Takes all space that is left. */
function fillUp(): void {
  const fd = openSync(ballast, 'a')
  try {
    while (statfsSync(path).bavail > 0) writeSync(fd, Buffer.alloc(4096, 1))
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
  } finally {
    closeSync(fd)
  }
}

const makeSpace = (): void => rmSync(ballast)

const expected = new Map<string, Buffer>()

function put(store: Store<Buffer>, key: string, value: Buffer): void {
  store.put(key, value)
  expected.set(key, value)
}

function remove(store: Store<Buffer>, key: string): void {
  assert.equal(store.delete(key), true)
  expected.delete(key)
}

/** What refused a put, after some that were done. */
function putUntilFull(store: Store<Buffer>, prefix: string, sizeBytes: number): StoreError {
  for (let index = 0; ; index++) {
    try {
      put(store, `${prefix}-${index}`, Buffer.alloc(sizeBytes, index))
    } catch (error) {
      assert.ok(error instanceof StoreError, String(error))
      assert.equal(error.code, 'STORE_FULL')
      return error
    }
  }
}

function check(store: Store<Buffer>): void {
  assert.equal(store.count(), expected.size)
  for (const [key, value] of expected) assert.ok(store.get(key)?.equals(value), key)
}

/** Writing goes on in the same handle: nobody is told, and nothing is opened again. */
function goesOn(store: Store<Buffer>, prefix: string): void {
  for (let index = 0; index < 40; index++) {
    put(store, `${prefix}-on-${index}`, Buffer.alloc(30_000, index))
  }
  for (let index = 0; index < 40; index++) remove(store, `${prefix}-on-${index}`)
  check(store)
}

const points: string[] = []

async function at(
  point: string,
  action: (store: Store<Buffer>) => void | Promise<void>,
): Promise<void> {
  const store = open<Buffer>(directory, options)
  check(store)
  await action(store)
  check(store)
  await store.close()
  points.push(point)
}

await at('a segment', (store) => {
  fillUp()
  putUntilFull(store, 'segment', 30_000)
  check(store)
  remove(store, 'segment-0')
  check(store)
  makeSpace()
  goesOn(store, 'segment')
})

await at('a checkpoint', async (store) => {
  fillUp()
  const before = store.checkpoints()
  await assert.rejects(store.checkpoint(), { code: 'STORE_FULL' })
  assert.deepEqual(store.checkpoints(), before)
  check(store)
  makeSpace()
  await store.checkpoint()
  assert.equal(store.checkpoints().length, before.length + 1)
  goesOn(store, 'checkpoint')
})

// Without a mapping it is in memory.
if (isMapped) {
  await at('growth of the index', (store) => {
    put(store, 'large', Buffer.alloc(200_000))
    fillUp()
    const { details } = putUntilFull(store, 'index', 1)
    assert.match(String(details.file), /buckets|overflow|prepared/)
    check(store)
    remove(store, 'index-0')
    makeSpace()
    goesOn(store, 'index')
  })
}

await at('a compaction', async (store) => {
  fillUp()
  putUntilFull(store, 'compaction', 30_000)
  // Most of each segment dies; what lives in them is copied into the reserve.
  for (const key of [...expected.keys()]) if (!key.endsWith('7')) remove(store, key)
  const { bytesAfter, bytesBefore } = await store.compact({ minGarbageRatio: 0.01 })
  assert.ok(bytesAfter < bytesBefore, 'it gives back something on a full disk')
  check(store)
  for (let index = 0; index < 10; index++) {
    put(store, `after-${index}`, Buffer.alloc(30_000, index))
  }
  makeSpace()
  goesOn(store, 'compaction')
})

await at('the manifest', async (store) => {
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 40; index++) {
      put(store, `manifest-${index}`, Buffer.alloc(20_000 + round * 100, index))
    }
  }
  fillUp()
  const segments = store.stats().segments
  // It takes the blocks of the next segment, where these were there already, and else has to wait.
  const error = await store.compact({ minGarbageRatio: 0.01 }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error !== undefined) assert.equal((error as StoreError).code, 'STORE_FULL')
  check(store)
  makeSpace()
  await store.compact({ minGarbageRatio: 0.01 })
  assert.ok(store.stats().segments < segments)
  goesOn(store, 'manifest')
})

await at('the end', async (store) => {
  fillUp()
  await store.sync()
})

const store = open<Buffer>(directory, { ...options, readOnly: true })
check(store)
assert.deepEqual((await store.verify()).problems, [])
await store.close()
writeSync(1, `${points.join(', ')}\n`)
