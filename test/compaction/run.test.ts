/**
 * Goal: near the bound on space a run in the background gives back what it copied before it copies more.
 * Method: a store in which a checkpoint leads into every segment, and of whose segments some are mostly dead; a run
 *   of the background is made by hand, and asked what it did each time that it gave something back.
 * Properties checked: how many segments go at once, near the bound and far from it; every value.
 * Kept by: `#nearBytes` (compaction/run.ts).
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { CompactionRun } from '../../src/compaction/run.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { options, segmentSizeBytes } from './support.js'

const value = Buffer.alloc(1000, 7)
const recordSizeBytes = 1056
const keysOfSegment = Math.floor(segmentSizeBytes / recordSizeBytes)
const segmentCount = 60
const hollowCount = 48

/**
 * What each drop of a run gave back, in segments. Three quarters of one segment after the other are deleted until all
 * take `freeSegments` less than the bound.
 */
async function dropsOf(t: TestContext, freeSegments: number): Promise<number[]> {
  const store = open<Buffer>(temporaryDirectory(t), options)
  const keyCount = segmentCount * keysOfSegment
  for (let index = 0; index < keyCount; index++) store.put(`key ${index}`, value)
  await store.checkpoint()
  const deleted = new Set<number>()
  const segmentsAbove = (): number => {
    const { fileBytes, liveBytes } = store.stats()
    return (fileBytes - 2 * liveBytes) / segmentSizeBytes - 2
  }
  // One segment after the other, three quarters of it.
  for (let index = 0; index % 100 !== 0 || segmentsAbove() < -freeSegments; index++) {
    assert.ok(index < hollowCount * keysOfSegment, 'there is enough to delete')
    if (index % 4 !== 0 && store.delete(`key ${index}`)) deleted.add(index)
  }
  const drops: number[] = []
  let dropped = 0
  const run = new CompactionRun(
    engineOf(store),
    { isBackground: true, minGarbageRatio: 0.95 },
    new Set(),
    {
      isOver: () => false,
      hasOwnThread: true,
      giveWay: async () => void (await turn()),
      onProgress: ({ isDone, segmentsDropped }) => {
        if (!isDone) drops.push(segmentsDropped - dropped)
        dropped = segmentsDropped
      },
    },
  )
  await run.run()
  for (let index = 0; index < keyCount; index++) {
    assert.equal(store.has(`key ${index}`), !deleted.has(index), `key ${index}`)
  }
  await store.close()
  return drops
}

describe('a run in the background', () => {
  test('drops each segment before it copies the next, near the bound', async (t) => {
    const drops = await dropsOf(t, 0.5)
    assert.ok(drops.length >= 2, `${drops.length} drops`)
    assert.equal(drops[0], 1)
  })

  test('drops some at once, far from it', async (t) => {
    const drops = await dropsOf(t, 2)
    assert.ok(drops[0] > 1, `${drops[0]} at once`)
  })
})
