/**
 * Goal: a record that was never committed stays away, wherever it was left.
 * Method: a writer is stopped when its record, or its batch, is whole behind the tail and not yet
 *   committed; the next one goes on in another segment, so that nothing is ever written over it.
 * Properties checked: the next to open, and the log alone, know nothing of it.
 * Kept by: `wipeBehindTail` in repair.ts.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open, type WriteOperation } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { copyAsKilled } from './memory-image.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const
const value = (size: number, fill: number): Buffer => Buffer.alloc(size, fill)

type Fill = 'one segment' | 'an oversized one'

/** Keys that fill a segment, or one made for a large batch, up to some 30,000 bytes. */
function fillings(kind: Fill): WriteOperation[] {
  const count = kind === 'one segment' ? 7 : 14
  const batch = Array.from({ length: count }, (_, index) => ({
    type: 'put' as const,
    key: `fill-${index}`,
    value: value(145_000, index),
  }))
  return batch
}

async function abandon(parent: string, kind: Fill, abandoned: WriteOperation[]): Promise<void> {
  const live = join(parent, 'live')
  const first = open<Buffer>(live, options)
  first.put('first', value(9, 9))
  first.write(fillings(kind))
  await first.sync()
  const { control } = engineOf(first)
  const commit = control.commit.bind(control)
  let images = 0
  control.commit = () => {
    if (images++ === 0) copyAsKilled(live, join(parent, 'killed'))
    commit()
  }
  if (abandoned.length === 1 && abandoned[0].type === 'put') {
    first.put('abandoned', abandoned[0].value as Buffer)
  } else {
    first.write(abandoned)
  }
  control.commit = commit
  await first.close()
  assert.ok(images > 0)
}

async function goOn(parent: string, kind: Fill, isSynced: boolean): Promise<void> {
  const check = (store: ReturnType<typeof open<Buffer>>, what: string): void => {
    assert.equal(store.get('abandoned'), undefined, what)
    assert.equal(store.get('abandoned too'), undefined, what)
    for (const operation of fillings(kind)) {
      assert.ok(store.get(operation.key as string) !== undefined, `${what}: ${operation.key}`)
    }
  }
  const second = open<Buffer>(join(parent, 'killed'), options)
  assert.equal(second.stats().lastRecovery.kind, 'same-boot')
  check(second, 'after the kill')
  const { segments } = second.stats()
  second.put('next', value(250_000, 1))
  assert.equal(second.stats().segments, segments + 1, 'the next record lies in another segment')
  if (isSynced) await second.sync()
  second.put('last', value(10, 2))
  copyStore(join(parent, 'killed'), join(parent, 'copy'))
  await second.close()
  const copy = open<Buffer>(join(parent, 'copy'), { ...options, readOnly: true })
  assert.equal(copy.stats().lastRecovery.kind, 'replay')
  check(copy, 'from the log alone')
  assert.equal(copy.get('next')?.length, 250_000)
  assert.equal(copy.get('last')?.length, 10)
  await copy.close()
}

describe('a record that was never committed', () => {
  const put: WriteOperation = { type: 'put', key: 'abandoned', value: value(4000, 3) }
  const cases = {
    'a single one': [put],
    'a batch': [put, { type: 'put' as const, key: 'abandoned too', value: value(10, 4) }],
  }
  for (const [name, abandoned] of Object.entries(cases)) {
    for (const kind of ['one segment', 'an oversized one'] as const) {
      for (const isSynced of [true, false]) {
        const when = isSynced ? 'synced' : 'not synced'
        test(`stays away: ${name} at the end of ${kind}, what follows ${when}`, async (t) => {
          const parent = temporaryDirectory(t)
          await abandon(parent, kind, abandoned)
          await goOn(parent, kind, isSynced)
        })
      }
    }
  }
})
