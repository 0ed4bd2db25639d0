/**
 * Goal: I7, a change is announced before its first store to shared memory, with all that a stranger
 *   needs to finish it.
 * Method: right after every commit, when nothing of the announced change has been done, the files
 *   are copied as a kill would leave them, and opened; right before it, too, where it is a split.
 * Properties checked: the change is there; no bucket is left odd; the counts are right.
 * Kept by: `applyPending`, `applyBatch` and `releaseSplit` in repair.ts. (test/kill stops everywhere else, too.)
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as layout from '../../src/format/control-layout.js'
import { open } from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import {
  operationWorkloads,
  prepareWorkload,
  segmentSizeBytes,
  workloads,
} from '../kill/workloads.js'
import { removeDirectory, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { applyChange, differenceOf, type State, stateAfter } from '../support/state.js'

const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const

/** Opens what a kill left; which of the states it is in, the later one if both are the same. */
async function stateFound(directory: string, states: readonly [State, State]): Promise<number> {
  const store = open<Buffer>(directory, options)
  assert.equal(store.stats().lastRecovery.kind, 'same-boot')
  const differences = states.map((state) => differenceOf(store, state))
  await store.close()
  const found = differences.lastIndexOf(undefined)
  assert.notEqual(found, -1, differences.join(' / '))
  return found
}

describe('I7: a change that was announced and not begun', () => {
  for (const workload of [...workloads, ...operationWorkloads]) {
    test(`is made by the next to open: ${workload.name}`, async (t) => {
      const parent = temporaryDirectory(t)
      const live = join(parent, 'live')
      const store = open<Buffer>(live, options)
      let { state } = await prepareWorkload(workload, store)
      let images = 0
      for (const change of workload.changes(store)) {
        const { control } = engineOf(store)
        const commit = control.commit.bind(control)
        const copies: string[] = []
        const copy = (): void => {
          copies.push(join(parent, `image-${++images}`))
          copyAsKilled(live, copies[copies.length - 1])
        }
        control.commit = () => {
          // A split turns its buckets odd before it is announced.
          const { doubles, next } = control
          if (doubles[next + layout.pendingKind] === layout.changeBuckets) copy()
          commit()
          copy()
        }
        await applyChange(store, change)
        control.commit = commit
        const after = stateAfter(state, change)
        let found = 0
        for (const copy of copies) {
          const now = await stateFound(copy, [state, after])
          assert.ok(now >= found, 'what was done is not undone')
          found = now
          removeDirectory(copy)
        }
        assert.ok(copies.length === 0 || found === 1, 'the last announcement is the change')
        state = after
      }
      assert.ok(images > 0)
      await store.close()
    })
  }
})
