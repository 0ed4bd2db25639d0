/**
 * Goal: a value file that no record refers to says nothing of the log.
 * Method: of a store without a mapping a kill leaves a large value, and no segment with its record; it is
 *   opened, written to, and killed again.
 * Properties checked: what was written is there (unmapped segments count as far as they are continuous).
 */
import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'

const options = {
  mapping: 'file',
  segmentSizeBytes: 2 ** 20,
  encoding: 'utf8',
  syncIntervalMs: 0,
} as const

test('what follows a value that no record refers to is found again', async (t) => {
  const parent = temporaryDirectory(t)
  let image = join(parent, 'first')
  const writeAndKill = async (key: string, value: string): Promise<void> => {
    const store = open<string>(image, options)
    store.put(key, value)
    const killed = join(parent, key)
    copyStore(image, killed)
    await store.close()
    image = killed
  }
  await writeAndKill('small', '1')
  await writeAndKill('large', 'x'.repeat(2 ** 19))
  assert.ok(readdirSync(image).some((name) => name.startsWith('value-')))
  const segments = readdirSync(image).filter((name) => name.startsWith('segment-'))
  rmSync(join(image, segments.sort().at(-1) as string))
  await writeAndKill('later', '2')
  const store = open<string>(image, options)
  assert.deepEqual(store.range().toArray(), [
    ['later', '2'],
    ['small', '1'],
  ])
  await store.close()
})
