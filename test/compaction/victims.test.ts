/**
 * Goal: compaction copies what gives most back for it, no sooner than the bound on space asks for, and without more
 *   checkpoints and drops than it needs.
 * Method: segments made up for the rule alone; small stores with a checkpoint, compacted; a simulated disk that has
 *   no room for all copies at once.
 * Properties checked: which segment comes next; how many checkpoints a run makes; values, and what it gives back.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { excessOf } from '../../src/compaction/occupancy.js'
import { type SurveyedSegment, surveySegments } from '../../src/compaction/survey.js'
import { chooseVictim, type VictimRule } from '../../src/compaction/victims.js'
import { open, type Store } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { options, segmentSizeBytes } from './support.js'

const rule: VictimRule = {
  minGarbageRatio: 0.95,
  excessBytes: 1,
  end: 100,
  excluded: new Set(),
}

/** Sealed log segments with these live bytes, the oldest first. */
function segmentsOf(...liveBytes: readonly number[]): SurveyedSegment[] {
  return liveBytes.map((live, index) => ({
    slot: index,
    segmentNumber: index + 1,
    kind: 'log',
    sizeBytes: 1000,
    liveBytes: live,
    tombstoneBytes: 0,
    keepsTombstones: false,
    isPinned: false,
    hasDeadPuts: live < 1000,
    isComplete: true,
  }))
}

const chosen = (segments: readonly SurveyedSegment[], more: Partial<VictimRule> = {}) =>
  chooseVictim(segments, { ...rule, ...more })?.segmentNumber

describe('of the segments that could be compacted', () => {
  test('comes first what gives most back for what is copied, and of equals the older one', () => {
    assert.equal(chosen(segmentsOf(800, 300, 700, 300)), 2)
    assert.equal(chosen(segmentsOf(900, 900, 900, 100)), 4)
  })

  test('an old one comes before a younger one that has a little more garbage', () => {
    assert.equal(chosen(segmentsOf(450, 1000, 1000, 1000, 1000, 1000, 1000, 400)), 1)
  })

  test('one that is dead as a whole is not read', () => {
    assert.equal(chosen(segmentsOf(600, 0, 800)), 1)
    assert.equal(chosen(segmentsOf(1000, 0)), undefined)
  })

  test('none comes while there is room, unless next to nothing would be copied', () => {
    assert.equal(chosen(segmentsOf(500, 600), { excessBytes: 0 }), undefined)
    assert.equal(chosen(segmentsOf(500, 40), { excessBytes: 0 }), 2)
  })
})

const count = 60
const value = (index: number, round: number): Buffer =>
  Buffer.alloc(100_000, 1 + ((index + round * 7) % 200))

/** A checkpoint, and behind it a new value for every other key. */
async function halfReplaced(store: Store<Buffer>): Promise<void> {
  for (let index = 0; index < count; index++) store.put(`key ${index}`, value(index, 0))
  await store.checkpoint()
  for (let index = 0; index < count; index += 2) store.put(`key ${index}`, value(index, 1))
  await store.sync()
}

function requireHalfReplaced(store: Store<Buffer>): void {
  for (let index = 0; index < count; index++) {
    const expected = value(index, index % 2 === 0 ? 1 : 0)
    assert.ok(store.get(`key ${index}`)?.equals(expected), `key ${index}`)
  }
}

/** Of all files. */
function fileBytesOn(store: Store<Buffer>): number {
  const { directory, platform } = engineOf(store)
  return platform.list(directory).reduce((sum, name) => {
    const file = platform.openFile(join(directory, name), 'read')
    const sizeBytes = file.sizeBytes()
    file.close()
    return sum + sizeBytes
  }, 0)
}

describe('a compaction that was asked for', () => {
  test('makes one checkpoint, however many segments it copies', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    await halfReplaced(store)
    const { checkpoints } = store.stats()
    const report = await store.compact({ minGarbageRatio: 0.3 })
    assert.ok(report.segmentsDropped >= 5, `${report.segmentsDropped} were dropped`)
    assert.equal(store.stats().checkpoints, checkpoints + 1)
    requireHalfReplaced(store)
    await store.close()
  })

  test('drops what it copied so far where the disk is full, and goes on', async () => {
    const disk = new SimulatedDisk()
    const store = openOn<Buffer>(disk, options)
    await halfReplaced(store)
    disk.capacityBytes = fileBytesOn(store) + segmentSizeBytes
    const report = await store.compact({ minGarbageRatio: 0.3 })
    // Its copies take three segments.
    assert.ok(report.bytesMoved > 2.5 * segmentSizeBytes, `${report.bytesMoved} bytes were moved`)
    assert.ok(report.segmentsDropped >= 5, `${report.segmentsDropped} were dropped`)
    requireHalfReplaced(store)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })

  test('leaves garbage alone for which there is room', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    await halfReplaced(store)
    const engine = engineOf(store)
    assert.ok(excessOf(engine, surveySegments(engine)) < 0)
    assert.equal((await store.compact({ minGarbageRatio: 0.9 })).recordsMoved, 0)
    await store.close()
  })
})
