// The state of a stream processor, as LaminarDB's MmapStateStore keeps it: every operation of that store, of its
// extensions for typed values, and of the log, changelog and checkpoints around it.
// Run it with: node examples/state-store.mjs
// Not here: tiers of object storage and a log for each core; a store has one log, on one machine.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { open } from 'varve'

const directory = mkdtempSync(join(tmpdir(), 'state-store-'))
process.on('exit', () => rmSync(directory, { recursive: true }))
const path = join(directory, 'state')
const options = { encoding: 'binary', keyEncoding: 'binary', segmentSizeBytes: 2 ** 20 }
let state = open(path, options) // persistent(path, capacity); in_memory(capacity) is open(':memory:')
assert.equal(state.path, path)
assert.equal(state.count(), 0) // is_empty

// put, get, get_ref, contains, delete, get_or_insert; keys and values are any bytes
const window = (index) => Buffer.from(`window:${String(index).padStart(4, '0')}`)
for (let index = 0; index < 1000; index++) state.put(window(index), Buffer.alloc(64, index))
assert.deepEqual(state.get(window(7)), Buffer.alloc(64, 7))
assert.deepEqual(state.view(window(7), Uint8Array), new Uint8Array(64).fill(7))
assert.equal(state.has(window(1000)), false)
assert.equal(state.delete(window(999)), true)
assert.equal(state.delete(window(999)), false) // no error
assert.deepEqual(state.getOrInsert(window(999), Buffer.alloc(64, 9)), Buffer.alloc(64, 9))
state.put(Buffer.from([0xff, 0xff, 0]), Buffer.alloc(0))
console.log(`${state.count()} windows`)

// prefix_scan, range_scan: in the order of the bytes; an empty prefix is everything
const keysOf = (range) => state.keys(range).toArray()
assert.equal(keysOf({ prefix: Buffer.from('window:00') }).length, 100)
assert.equal(keysOf({ prefix: Buffer.from([0xff, 0xff]) }).length, 1)
assert.equal(keysOf({ prefix: Buffer.alloc(0) }).length, state.count())
assert.deepEqual(keysOf({ gte: window(5), lt: window(7) }), [window(5), window(6)])

// len, size_bytes
const { keyBytes, valueBytes } = state.stats()
assert.equal(keyBytes + valueBytes, 1000 * (11 + 64) + 3)

// snapshot, to_bytes, restore: the same content, whatever was written in between
const snapshot = state.snapshot()
state.update(window(1), (bytes) => Buffer.concat([bytes, bytes])) // update(key, |value| …)
state.update(window(2), () => undefined) // None deletes
assert.equal(snapshot.get(window(1)).length, 64)
const written = new PassThrough()
const [bytes] = await Promise.all([buffer(written), snapshot.export(written)])
console.log(
  `snapshot of ${snapshot.count()} entries at ${snapshot.sequence}: ${bytes.length} bytes`,
)
snapshot.close()
state.clear()
assert.equal(state.count(), 0)
for (const target of [state, open(':memory:', options)]) {
  await target.import(Readable.from([bytes]))
  assert.equal(target.count(), 1001)
  assert.equal(target.get(window(1)).length, 64)
  if (target !== state) await target.close()
}

// put_typed, get_typed; a DictionaryKeyEncoder: dense numbers for keys of any length
const typed = state.keyspace('typed', { keyEncoding: 'utf8', encoding: 'msgpack' })
typed.put('offsets', [1n, 2n, 3n])
assert.deepEqual(typed.get('offsets'), [1n, 2n, 3n])
assert.equal(typed.get('missing'), undefined)
const codes = state.keyspace('codes', { keyEncoding: 'utf8', encoding: 'msgpack' })
const words = state.keyspace('words', { keyEncoding: 'ordered', encoding: 'msgpack' })
function encode(word) {
  const known = codes.get(word)
  if (known !== undefined) return known
  return state.transaction((tx) =>
    tx.keyspace('codes').getOrInsert(word, () => {
      const code = tx.keyspace('typed').increment('codes') - 1
      tx.keyspace('words').put(code, word)
      return code
    }),
  )
}
assert.deepEqual(['zurich', 'bern', 'zurich'].map(encode), [0, 1, 0])
assert.equal(words.get(1), 'bern')

// batch_put and batch_get
state.write([1, 2, 3].map((index) => ({ type: 'put', key: window(index), value: Buffer.of(9) })))
assert.deepEqual(state.getMany([window(1), window(5000)]), [Buffer.of(9), undefined])

// fragmentation, compact, flush, checkpoints: list, prune, validate
for (let index = 0; index < 900; index++) state.put(window(index), Buffer.alloc(4000, 1))
for (let index = 0; index < 900; index++) state.delete(window(index))
const before = state.stats()
await state.compact()
const after = state.stats()
assert(after.garbageRatio < before.garbageRatio && after.fileBytes < before.fileBytes)
console.log(
  `garbage ${before.garbageRatio.toFixed(2)} before, ${after.garbageRatio.toFixed(2)} after`,
)
await state.sync() // flush()
const { id } = await state.checkpoint()
assert.deepEqual(
  state.checkpoints().map((checkpoint) => checkpoint.id),
  [id],
)
assert.deepEqual(state.pruneCheckpoints(3), [])
assert.equal((await state.verify()).ok, true)

// The changelog: what changed since an epoch, in order; an epoch is a sequence
const epoch = state.stats().sequence
state.put(window(1), Buffer.of(1))
state.delete(window(950))
const changes = []
for await (const change of state.watch({ sinceSequence: epoch })) {
  if (changes.push(`${change.type} ${change.key}`) === 2) break
}
assert.deepEqual(changes, ['put window:0001', 'delete window:0950'])
console.log(changes.join(', '))

// Reopened, it is all there
const count = state.count()
await state.close()
state = open(path, options)
assert.equal(state.count(), count)
console.log(`reopened with ${count} windows`)
await state.close()
