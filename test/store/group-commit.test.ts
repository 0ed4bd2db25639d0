/**
 * Goal: syncs that are asked for at the same time share a flush, and none of those who wait is passed over.
 * Method: many tasks of one thread put and await sync, again and again.
 * Properties checked: the number of flushes against that of the syncs; that all tasks go on side by side.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'

for (const mapping of ['mmap', 'file'] as const) {
  test(`64 tasks share their flushes (${mapping})`, async (t) => {
    const store = open<number>(temporaryDirectory(t), { mapping, syncIntervalMs: 0 })
    const before = store.stats().syncs
    const rounds = 10
    const done = new Array<number>(64).fill(0)
    let widest = 0
    await Promise.all(
      done.map(async (_, task) => {
        for (let round = 0; round < rounds; round++) {
          store.put(`task ${task}`, round)
          await store.sync()
          done[task]++
          widest = Math.max(widest, done[task] - Math.min(...done))
        }
      }),
    )
    assert.ok(store.stats().syncs - before <= 2 * rounds, `${store.stats().syncs - before} flushes`)
    assert.ok(widest <= 2, `one task is ${widest} rounds ahead of another`)
    await store.close()
  })
}
