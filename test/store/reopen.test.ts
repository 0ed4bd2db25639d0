/**
 * Goal: a store goes on where it was left, whatever its size.
 * Method: stores of several segments are closed and opened again, and written to before anything
 * of them was read.
 * Properties checked: the first write after opening works; nothing is lost; `lastRecovery` says how
 * the store was found.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { copyStore, removeDirectory } from '../support/directory.js'

const segmentSizeBytes = 2 ** 20
const recordCount = 20_000

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-reopen-'))
})

afterEach(() => removeDirectory(directory))

function keyOf(index: number): string {
  return `user${String(index).padStart(12, '0')}`
}

describe('a store of several segments', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`takes a write before any read after a close (${mapping})`, async () => {
      const path = join(directory, 'store')
      const options = { encoding: 'utf8', segmentSizeBytes, mapping } as const
      const first = open<string>(path, options)
      for (let index = 0; index < recordCount; index++) first.put(keyOf(index), `value ${index}`)
      await first.close()

      const second = open<string>(path, options)
      assert.ok(second.stats().segments > 1)
      assert.equal(second.put(keyOf(0), 'changed'), true)
      assert.equal(second.get(keyOf(0)), 'changed')
      assert.equal(second.get(keyOf(recordCount - 1)), `value ${recordCount - 1}`)
      assert.equal(second.count(), recordCount)
      await second.close()
    })
  }

  test('that was closed has lost nothing on another boot, also where nothing was ever written', async () => {
    for (const mapping of ['mmap', 'file'] as const) {
      for (const writes of [0, 3]) {
        const options = { segmentSizeBytes, mapping, syncIntervalMs: 0 } as const
        let path = join(directory, `${mapping} ${writes}`)
        const first = open<number>(path, options)
        for (let index = 0; index < writes; index++) first.put('a', index)
        const { sequence } = first.stats()
        await first.close()
        for (let boot = 0; boot < 2; boot++) {
          copyStore(path, `${path}+`)
          path += '+'
          const store = open<number>(path, options)
          assert.equal(store.stats().lastRecovery.kind, 'replay')
          assert.equal(
            store.stats().sequence,
            sequence,
            `${mapping}, ${writes} writes, boot ${boot}`,
          )
          await store.close()
        }
      }
    }
  })

  test('says how it was found', async () => {
    const path = join(directory, 'store')
    const created = open<string>(path, { encoding: 'utf8', segmentSizeBytes })
    assert.equal(created.stats().lastRecovery.kind, 'created')
    for (let index = 0; index < recordCount; index++) created.put(keyOf(index), `value ${index}`)
    await created.close()

    const reopened = open(path)
    assert.equal(reopened.stats().lastRecovery.kind, 'clean')
    await reopened.close()

    const copyPath = join(directory, 'copy')
    cpSync(path, copyPath, { recursive: true })
    const copy = open<string>(copyPath)
    const { kind, recordsReplayed, bytesDropped } = copy.stats().lastRecovery
    // The registry of encodings is a record too.
    assert.deepEqual([kind, recordsReplayed, bytesDropped], ['replay', recordCount + 1, 0])
    assert.equal(copy.get(keyOf(77)), 'value 77')
    await copy.close()
  })
})
