/**
 * Goal: whoever compacts may die at any moment, and others who have the store open read, write and
 *   compact on.
 * Method: a child overwrites its keys and compacts without end, and is killed at random; this process has
 *   the store open all the time, reads the child's keys and its own while the child compacts, holds
 *   snapshots over it, and compacts itself when the child is dead.
 * Properties checked: values of the right key, always; what this process wrote; verify; the log alone.
 * Kept by: the look at the slots' generation in probe.ts, log.ts and roll.ts; the announcement in
 *   drop-segments.ts.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { ownKeys, ownValue, sharedOptions } from './sharing-data.js'

const child = fileURLToPath(
  new URL('../../linked/test/compaction/compactor-child.js', import.meta.url),
)
const rounds = isThorough ? 100 : 6

function requireOwn(store: Pick<Store<Buffer>, 'get'>, what: string): void {
  for (let key = 0; key < ownKeys; key++) {
    const value = store.get(`own ${key}`)
    const isRight = value === undefined || value.equals(ownValue(key, value.byteLength))
    assert.ok(isRight, `${what}: own ${key}, VARVE_SEED=${seed}`)
  }
}

describe(`a compactor that dies (VARVE_SEED=${seed})`, () => {
  test('leaves a store in which others read, write and compact', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const random = new Random(seed)
    const store = open<Buffer>(directory, sharedOptions)
    const mine = new Map<string, number>()
    for (let round = 0; round < rounds; round++) {
      const running = fork(child, [directory, String(seed + round)])
      atEnd(t, () => running.kill('SIGKILL'))
      await once(running, 'message')
      let messages = 0
      running.on('message', () => messages++)
      const snapshot = store.snapshot()
      const shown = new Map(mine)
      const wanted = 2 + random.below(6)
      while (messages < wanted) {
        requireOwn(store, 'while it compacts')
        const name = `mine ${random.below(50)}`
        const size = random.below(5000)
        store.put(name, Buffer.alloc(size, 200))
        mine.set(name, size)
        await turn()
      }
      for (const [name, size] of shown) assert.equal(snapshot.get(name)?.byteLength, size)
      for (let step = random.below(40); step > 0; step--) await turn()
      running.kill('SIGKILL')
      await once(running, 'exit')
      requireOwn(store, 'when it is dead')
      snapshot.close()
      await store.compact({ minGarbageRatio: 0.05 })
      for (const [name, size] of mine) assert.equal(store.get(name)?.byteLength, size)
      requireOwn(store, 'compacted behind it')
      assert.deepEqual((await store.verify()).problems, [])
      const { fileBytes, liveBytes, segmentSizeBytes } = store.stats()
      assert.ok(fileBytes <= 2 * liveBytes + 3 * segmentSizeBytes)
      copyStore(directory, join(parent, `copy ${round}`))
      const copy = open<Buffer>(join(parent, `copy ${round}`), sharedOptions)
      for (const [name, size] of mine) assert.equal(copy.get(name)?.byteLength, size)
      requireOwn(copy, 'from the log')
      await copy.close()
    }
    await store.close()
  })
})
