/** Fills a store until its file system is full, and checks what is left: see full-disk.test.ts. */
import assert from 'node:assert/strict'
import { rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { open, type Store, StoreError, type StoreOptions } from '../../src/store/index.js'

const [path, mapping, valueSizeBytes, reopening] = process.argv.slice(2)
const options = {
  ...{ segmentSizeBytes: 2 ** 20, encoding: 'binary', syncIntervalMs: 0 },
  mapping,
} as StoreOptions<Buffer>
const directory = join(path, 'store')
const value = (index: number): Buffer => Buffer.alloc(Number(valueSizeBytes), index)
const key = (index: number): string => `key-${index}`

function fill(store: Store<Buffer>): number {
  for (let index = 0; ; index++) {
    try {
      store.put(key(index), value(index))
    } catch (error) {
      assert.ok(error instanceof StoreError, String(error))
      assert.equal(error.code, 'STORE_FULL')
      return index
    }
  }
}

function check(store: Store<Buffer>, from: number, count: number): void {
  assert.equal(store.count(), count - from)
  for (let index = from; index < count; index++) {
    assert.ok(store.get(key(index))?.equals(value(index)), key(index))
  }
  assert.equal(store.get(key(count)), undefined)
}

const store = open<Buffer>(directory, options)
const count = fill(store)
check(store, 0, count)
// The room that a delete takes must be there, also where it is the first thing after the refusal.
assert.equal(store.delete(key(0)), true)
assert.throws(() => store.write([{ type: 'put', key: 'big', value: Buffer.alloc(2 ** 20) }]), {
  code: 'STORE_FULL',
})
check(store, 1, count)
await store.sync()
await store.close()
const again = open<Buffer>(directory, { ...options, readOnly: reopening === 'to-read' })
check(again, 1, count)
if (reopening === 'to-write') assert.equal(again.delete(key(1)), true)
await again.close()
const left = reopening === 'to-write' ? 2 : 1
// Without what is only good for this boot: the log must tell the same.
for (const name of ['control', 'buckets', 'overflow', 'slots', 'keyspaces']) {
  rmSync(join(directory, name), { force: true })
}
const reader = open<Buffer>(directory, { ...options, readOnly: true })
check(reader, left, count)
await reader.close()
writeSync(1, `kept ${count - 1}\n`)
