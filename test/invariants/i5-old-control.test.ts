/**
 * Goal: I5, what an old control file still announces never undoes what the log has.
 * Method: copies of a store in the state that a power loss can leave: the pages of the control file are
 *   older than those of the log, of different ages, or newer.
 * Properties checked: what was synced is there, in its last form; an update in place that only the redo
 *   area has is made.
 * Kept by: `isToBeMade` in unfinished-update.ts.
 */
import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import * as layout from '../../src/format/control-layout.js'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const

function valueIn(directory: string, key: string): string | undefined {
  const store = open<string>(directory, { readOnly: true })
  try {
    return store.get(key)
  } finally {
    abandon(engineOf(store))
  }
}

interface Place {
  readonly store: Store<string>
  readonly live: string
  readonly parent: string
}

function updated(parent: string): Place {
  const live = join(parent, 'live')
  const store = open<string>(live, options)
  store.put('a', 'one')
  const { readOnly } = layout
  const before = engineOf(store).control.get(readOnly)
  store.put('a', 'two')
  assert.equal(engineOf(store).control.get(readOnly), before, 'updated in place')
  return { store, live, parent }
}

describe('a control file that is older than the log', () => {
  for (const markers of [1, 2]) {
    test(`announces nothing that was synced over, ${markers} markers behind`, async (t) => {
      const { live, parent, store } = updated(temporaryDirectory(t))
      const old = join(parent, 'control')
      copyFileSync(join(live, 'control'), old)
      store.put('a', 'six')
      for (let sync = 0; sync < markers; sync++) {
        await store.sync()
        store.put(`b${sync}`, 'later')
      }
      const copy = join(parent, 'copy')
      copyStore(live, copy)
      copyFileSync(old, join(copy, 'control'))
      assert.equal(valueIn(copy, 'a'), 'six')
      await store.close()
    })
  }

  test('may have a redo area of another time: what does not verify there is not made', async (t) => {
    const { live, parent, store } = updated(temporaryDirectory(t))
    await store.sync()
    const copy = join(parent, 'copy')
    copyStore(live, copy)
    const control = readFileSync(join(copy, 'control'))
    const end = layout.redoOffset + 2 * layout.redoSizeBytes
    for (let at = layout.redoOffset; at < end; at += 8) control[at] ^= 1
    // The state as it was before the sync: it announces the update.
    const { state, next } = engineOf(store).control
    const size = layout.stateSizeDoubles * 8
    const announced = Buffer.alloc(size)
    control.copy(announced, 0, state * 8, state * 8 + size)
    announced.writeDoubleLE(layout.changeInPlace, layout.pendingKind * 8)
    announced.copy(control, state * 8)
    announced.copy(control, next * 8)
    overwrite(join(copy, 'control'), 0, control)
    assert.equal(valueIn(copy, 'a'), 'two')
    await store.close()
  })
})

describe('a control file that is newer than the log', () => {
  test('has the update in place that the log lacks, and another boot makes it', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = open<string>(live, options)
    store.put('a', 'one')
    const [segment] = segmentNames(live)
    const old = readFileSync(join(live, segment))
    store.put('a', 'two')
    const copy = join(parent, 'copy')
    copyStore(live, copy)
    overwrite(join(copy, segment), 0, old)
    assert.equal(valueIn(copy, 'a'), 'two')
    // Without it, there is nothing that proves the last record.
    rmSync(join(copy, 'control'))
    assert.equal(valueIn(copy, 'a'), undefined)
    await store.close()
  })
})
