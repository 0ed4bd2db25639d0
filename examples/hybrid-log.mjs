// A table of counters on a hybrid log, as rskv and FASTER keep it: every operation of the store and of its
// checkpoints, compaction and statistics.
// Run it with: node examples/hybrid-log.mjs
// Not here: sessions and pending operations, compression, hot and cold tiers; what is cold is the page cache's business.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'varve'

const directory = mkdtempSync(join(tmpdir(), 'hybrid-log-'))
process.on('exit', () => rmSync(directory, { recursive: true }))
const path = join(directory, 'log')
const options = {
  encoding: 'binary',
  keyEncoding: 'binary',
  segmentSizeBytes: 2 ** 20, // page_size
  syncIntervalMs: 100, // sync_mode: Periodic
  autoCheckpoint: false, // enable_checkpointing
  autoCompact: true, // enable_gc
}
assert.throws(() => open(path, { ...options, segmentSizeBytes: 5 }), RangeError) // InvalidConfig
const store = open(path, options)

// upsert, read, contains_key, delete, len, is_empty
const keyOf = (index) => Buffer.from(`counter:${index}`)
const bytesOf = (number) => Buffer.from(new Float64Array([number]).buffer)
for (let index = 0; index < 1000; index++) store.put(keyOf(index), bytesOf(index))
assert.deepEqual(store.get(keyOf(5)), bytesOf(5))
assert.equal(store.get(keyOf(1000)), undefined)
assert.equal(store.has(keyOf(5)), true)
assert.equal(store.delete(keyOf(999)), true)
assert.equal(store.delete(keyOf(999)), false)
assert.equal(store.count(), 999) // exact: tombstones do not count

// rmw: nobody writes in between; compare and swap by version
const add = (amount) => (bytes) => bytesOf((bytes?.readDoubleLE() ?? 0) + amount)
for (let round = 0; round < 10; round++) store.update(keyOf(5), add(1))
assert.equal(store.get(keyOf(5)).readDoubleLE(), 15)
assert.equal(store.update(keyOf(1000), add(7)).readDoubleLE(), 7)
const { version } = store.getEntry(keyOf(5))
assert.equal(store.put(keyOf(5), bytesOf(0), { ifVersion: version }), true) // update_if_exists
assert.equal(store.put(keyOf(5), bytesOf(1), { ifVersion: version }), false)
assert.equal(store.put(keyOf(5), bytesOf(1), { ifAbsent: true }), false) // insert_if_not_exists
console.log(`${store.count()} counters`)

// stats: the addresses of the log, the regions of it
const updated = store.stats()
store.update(keyOf(7), add(1)) // in place, in the mutable region, where files can be mapped: the log does not grow
const isMapped = updated.mapping === 'mmap'
assert.equal(store.stats().tail === updated.tail, isMapped)
assert.equal(updated.mutableBytes > 0, isMapped)
await store.sync() // shift_read_only_address
const { begin, durable, tail, mutableBytes, readOnlyBytes, coldBytes } = store.stats()
assert(begin <= durable && durable <= tail)
assert.equal(mutableBytes, 0)
store.update(keyOf(7), add(1)) // appended
assert(store.stats().tail > tail)
console.log(
  `mutable ${mutableBytes}, read-only ${readOnlyBytes}, cold ${coldBytes} bytes after a sync`,
)

// scan_all, scan_prefix, in order
assert.equal(store.range().toArray().length, 1000)
assert.equal(store.count({ prefix: keyOf(99) }), 10)

// checkpoint, list_checkpoints, checkpoint_stats, cleanup_checkpoints(keep)
for (let round = 0; round < 3; round++) {
  store.update(keyOf(8), add(1))
  await store.checkpoint()
}
const checkpoints = store.checkpoints()
for (const { id, records, bytes } of checkpoints)
  console.log(`checkpoint ${id}: ${records} records, ${bytes} bytes`)
store.pruneCheckpoints(1)
assert.equal(store.checkpoints().length, 1)

// gc_estimate, should_run_gc, garbage_collect, garbage_collect_with_config, start/stop_background_tasks
const done = new Promise((resolve) => {
  store.on('compaction', (event) => event.isDone && resolve(event)) // told a turn after compact() resolves
})
store.compactionPaused = true
for (let round = 0; round < 4; round++) {
  for (let index = 0; index < 500; index++) store.put(keyOf(index), Buffer.alloc(1000 + round))
  await store.sync() // without it the next round would update in place, and leave no garbage
}
const before = store.stats()
const estimate = store.compactionEstimate()
assert(estimate.reclaimableBytes > 0)
store.compactionPaused = false
await store.compact({ minGarbageRatio: 0.3 })
const after = store.stats()
assert(after.fileBytes < before.fileBytes)
assert(after.begin > before.begin) // advance_begin_address
console.log(
  `garbage ${before.garbageRatio.toFixed(2)} before, ${after.garbageRatio.toFixed(2)} after`,
)
assert((await done).segmentsDropped > 0) // background_stats
assert.equal(after.compactionFailure, undefined)
assert.equal(store.count(), 1000)

// close, recover: beside the index that is there, and in a copy, where a checkpoint and the log behind it are all
await store.checkpoint()
const content = store.range().toArray()
await store.close()
assert.throws(() => store.get(keyOf(1)), { code: 'STORE_CLOSED' })
const copyPath = join(directory, 'copy')
cpSync(path, copyPath, { recursive: true })
for (const recovered of [open(path, options), open(copyPath, options)]) {
  assert.deepEqual(recovered.range().toArray(), content)
  const { kind, checkpoint } = recovered.stats().lastRecovery
  console.log(`recovered ${recovered.count()} counters: ${kind}, checkpoint ${checkpoint}`)
  await recovered.close()
}
