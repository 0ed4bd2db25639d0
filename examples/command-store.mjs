// A state machine fed by commands, as hightower-kv's SingleNodeEngine keeps it: every operation of the engine, of
// its state, segments, snapshots and command.
// Run it with: node examples/command-store.mjs
// Not here: users, passwords and API keys, encryption, worker threads.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'varve'

const directory = mkdtempSync(join(tmpdir(), 'command-store-'))
process.on('exit', () => rmSync(directory, { recursive: true }))
const path = join(directory, 'leader')
const options = {
  encoding: 'utf8',
  segmentSizeBytes: 2 ** 20, // max_segment_size
  syncIntervalMs: 25, // fsync_interval
  autoCompact: false, // compaction_interval: 0
  rememberDeletesMs: 300_000, // tombstone_grace
}
let engine = open(path, options) // with_config(StoreConfig { … })

// put, get, delete, len: they draw their versions themselves
engine.put('app:user:1', 'Ada')
engine.put('app:user:2', 'Eve')
engine.put('app:group:1', 'admins')
assert.equal(engine.get('app:user:1'), 'Ada')
assert.equal(engine.delete('app:user:2'), true)
assert.equal(engine.delete('app:user:2'), false)
assert.equal(engine.count(), 2)

// submit, submit_batch: Applied, IgnoredStale, Removed
const replica = open(join(directory, 'replica'), options)
const timestampMs = Date.UTC(2030, 0)
const commands = [
  { type: 'put', key: 'a', value: '1', version: 1, timestampMs },
  { type: 'put', key: 'a', value: '2', version: 3, timestampMs },
  { type: 'put', key: 'a', value: 'late', version: 2, timestampMs },
  { type: 'delete', key: 'b', version: 9, timestampMs }, // of a key that was never there
  { type: 'put', key: 'b', value: 'late', version: 8, timestampMs },
]
assert.equal(replica.apply(commands[0]), 'applied')
assert.deepEqual(replica.apply(commands), ['stale', 'applied', 'stale', 'removed', 'stale'])
assert.equal(replica.getEntry('a').version, 3)
assert.equal(replica.getEntry('a').timestampMs, timestampMs)
const other = open(':memory:', options)
console.log(other.apply(commands.toReversed()).join(' '))
assert.deepEqual(other.range().toArray(), replica.range().toArray()) // whatever the order
await other.close()

// get_prefix, in order
assert.deepEqual(engine.range({ prefix: 'app:' }).toArray(), [
  ['app:group:1', 'admins'],
  ['app:user:1', 'Ada'],
])

// read_with, snapshot_state: the state as it is now; latest_version
const latestVersion = engine.stats().version
const state = engine.snapshot()
engine.put('app:user:1', 'Ada L.')
assert.equal(state.get('app:user:1'), 'Ada')
assert.equal(state.count(), 2)
state.close()
assert(engine.stats().version > latestVersion)

// LocalReplication, a CommandSubmitter: every change of the leader becomes a command for the replica
let applied = 0
for await (const { sequence, keyspace, ...command } of engine.watch({ sinceSequence: 0 })) {
  replica.apply(command)
  applied += 1
  if (command.version === engine.stats().version) break // latest_version
}
assert.deepEqual(replica.range({ prefix: 'app:' }).toArray(), engine.range().toArray())
console.log(`${applied} changes replicated`)
await replica.close()

// segments, run_compaction_now, emit_snapshot_after_compaction, flush
for (let index = 0; index < 500; index++) engine.put(`log:${index}`, 'x'.repeat(5000))
for (let index = 0; index < 500; index++) engine.delete(`log:${index}`)
for (const { segmentNumber, sizeBytes, liveBytes } of engine.compactionEstimate().segments) {
  console.log(`segment ${segmentNumber}: ${liveBytes} of ${sizeBytes} bytes live`)
}
await engine.compact()
const { segments, reclaimableBytes } = engine.compactionEstimate()
console.log(`after compaction: ${segments.length} segments, ${reclaimableBytes} bytes to gain`)
await engine.checkpoint()
await engine.sync()

// Reopened, versions go on above all that was seen, those of commands, too
const version = 2 ** 52
assert.equal(engine.apply({ type: 'put', key: 'future', value: 'x', version }), 'applied')
await engine.close() // drop
engine = open(path, options)
assert(engine.stats().version >= version)
engine.put('future', 'own')
assert.equal(engine.get('future'), 'own')
console.log(`reopened at version ${engine.stats().version}: ${engine.count()} keys`)
await engine.close()
