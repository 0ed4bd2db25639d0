import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { checkTree, insert, remove } from '../support/ordered-tree.js'
import { Random } from '../support/random.js'
import { isThorough } from '../support/thorough.js'
import type { Report } from './ordered-reader-worker.js'
import { isStable, keyCount, keyOf, openShared } from './ordered-shared.js'

const writeDurationMs = isThorough ? 60_000 : 4000

test('threads that read while another writes find every key that stays, in order, and no other', async () => {
  const memory = new SharedArrayBuffer(2 ** 25)
  const state = new Int32Array(new SharedArrayBuffer(8))
  const tree = openShared(memory, 'shared')
  tree.initialize()
  const keys = Array.from({ length: keyCount }, (_, number) => ({
    keyspaceId: 9,
    bytes: keyOf(number),
  }))
  for (let number = 0; number < keyCount; number++) {
    if (isStable(number)) insert(tree, keys[number])
  }
  // Neighbours on both sides, so that a scan also ends where another keyspace begins.
  for (const keyspaceId of [8, 10]) insert(tree, { keyspaceId, bytes: Buffer.from('other') })
  Atomics.store(state, 0, 1)
  const readers = [1, 2].map((seed) => {
    const worker = new Worker(new URL('./ordered-reader-worker.js', import.meta.url), {
      workerData: { memory, state, seed },
    })
    return once(worker, 'message') as Promise<[Report]>
  })
  while (Atomics.load(state, 1) < readers.length) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }

  const random = new Random(1)
  const end = Date.now() + writeDurationMs
  let changes = 0
  // Waves: most keys come and most go again, so that pages are divided, merged and used again.
  for (let wave = 0; Date.now() < end; wave++) {
    const isGrowing = wave % 2 === 0
    const first = random.below(keyCount)
    const length = random.pick([200, 3000])
    for (let step = 0; step < 2000; step++) {
      const number = (first + random.below(length)) % keyCount
      if (isStable(number)) continue
      if (random.chance(isGrowing ? 0.85 : 0.15)) insert(tree, keys[number])
      else remove(tree, keys[number])
      changes++
    }
  }
  Atomics.store(state, 0, 0)
  for (const [report] of await Promise.all(readers)) {
    assert.equal(report.failure, undefined)
    assert.ok(report.scans > 1 && report.lookups > 1000, JSON.stringify({ ...report, changes }))
  }
  checkTree(tree)
})
