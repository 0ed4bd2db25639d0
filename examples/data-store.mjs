// Blobs under names, as simd-r-drive's DataStore keeps them: every operation of its readers and writers, of its
// entries and extensions. Its command is `varve`: see docs/coming-from.md.
// Run it with: node examples/data-store.mjs
// Not here: reads and writes by a key's hash (keys are kept, and compared), a parallel iterator, the WebSocket server.
import assert from 'node:assert/strict'
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { open } from 'varve'

const directory = mkdtempSync(join(tmpdir(), 'data-store-'))
process.on('exit', () => rmSync(directory, { recursive: true }))
const path = join(directory, 'data')
const options = { encoding: 'binary', segmentSizeBytes: 2 ** 20 }
assert.throws(() => open(path, { ...options, createIfMissing: false }), { code: 'STORE_NOT_FOUND' }) // open_existing
const store = open(path, options)
const archive = open(join(directory, 'archive'), options)

// write, batch_write, write_stream; nothing is too small, and zeros are values
store.put('greeting', Buffer.from('hello'))
store.write([
  { type: 'put', key: 'zeros', value: Buffer.alloc(8) },
  { type: 'put', key: 'empty', value: Buffer.alloc(0) },
  { type: 'put', key: 'vector', value: new Float32Array(256).fill(0.5) },
])
const film = join(directory, 'film')
writeFileSync(film, Buffer.alloc(1_000_000, 'frame'))
await store.writeStream('film', createReadStream(film))
const failing = Readable.from(
  (function* () {
    yield Buffer.from('half')
    throw new Error('the source failed')
  })(),
)
await assert.rejects(store.writeStream('half', failing), /the source failed/)
assert.equal(store.has('half'), false) // exists
console.log(`${store.count()} entries, the last one is ${store.lastEntry().key}`) // len, read_last_entry

// read, batch_read, zero-copy and typed reads, streams
assert.equal(store.get('greeting').toString(), 'hello')
assert.deepEqual(
  store.getMany(['zeros', 'none', 'empty']).map((bytes) => bytes?.length),
  [8, undefined, 0],
)
assert.deepEqual(await store.getManyAsync(['none']), [undefined])
const vector = store.view('vector', Float32Array)
assert.equal(vector[255], 0.5)
assert.equal(vector.byteOffset % 64, 0)
let filmBytes = 0
for await (const chunk of store.readStream('film')) filmBytes += chunk.length
assert.equal(filmBytes, 1_000_000)

// read_metadata: sizes, offset, checksum
const { sizeBytes, version, timestampMs } = store.getEntry('greeting')
assert(sizeBytes > 5 && version > 0 && timestampMs <= Date.now())
assert.equal((await store.verify()).ok, true) // is_valid_checksum, of all entries
console.log(`greeting takes ${sizeBytes} bytes`)

// rename, copy, transfer, delete, batch_delete
assert.equal(store.rename('greeting', 'welcome'), true)
assert.equal(store.rename('greeting', 'other'), false)
assert.equal(store.copy('welcome', archive), true)
assert.equal(store.move('vector', archive), true)
assert.equal(store.delete('zeros'), true)
assert.equal(store.delete('zeros'), false)
store.write(['empty', 'none'].map((key) => ({ type: 'delete', key })))
assert.deepEqual(archive.keys().toArray(), ['vector', 'welcome'])

// iter_entries: newest first, of each key the latest
store.put('film', Buffer.from('cut'))
const newestFirst = store.scan({ reverse: true }).map(({ key }) => key)
assert.deepEqual(newestFirst.toArray(), ['film', 'welcome'])

// estimate_compaction_savings, compact, file_size
for (let round = 0; round < 40; round++) store.put(`round-${round}`, Buffer.alloc(100_000, round))
for (let round = 0; round < 40; round++) store.delete(`round-${round}`)
const fileBytes = store.stats().fileBytes
const { reclaimableBytes } = store.compactionEstimate()
assert(reclaimableBytes > 0)
await store.compact()
assert(store.stats().fileBytes < fileBytes)
console.log(`compaction gave back ${fileBytes - store.stats().fileBytes} bytes`)
store.put('after', Buffer.from('written after the compaction'))

// NamespaceHasher, write_option, write_with_ttl, compute_hash: a keyspace has its keys and encoding to itself
const settings = store.keyspace('settings', { encoding: 'msgpack' })
settings.put('theme', null)
assert.equal(settings.get('theme'), null)
assert.equal(settings.get('none'), undefined)
settings.put('session', 'x', { ttlMs: 1 })
await new Promise((resolve) => setTimeout(resolve, 5))
assert.equal(settings.get('session'), undefined)
settings.put('rates', { eur: 1.07 }, { ttlMs: 60_000 })
assert.equal(settings.get('rates').eur, 1.07)

// import_dir_recursively
const tree = join(directory, 'tree')
mkdirSync(join(tree, 'sub'), { recursive: true })
writeFileSync(join(tree, 'one'), '1')
writeFileSync(join(tree, 'sub', 'empty'), '')
const files = store.keyspace('files')
for (const file of readdirSync(tree, { recursive: true, withFileTypes: true })) {
  if (!file.isFile()) continue
  const filePath = join(file.parentPath, file.name)
  const key = relative(tree, filePath).replaceAll('\\', '/')
  await files.writeStream(key, createReadStream(filePath))
}
assert.deepEqual(files.keys().toArray(), ['one', 'sub/empty'])
assert.equal(files.get('sub/empty').length, 0)

await store.close()
await archive.close()

// Reopened: the same length, and what was written behind the compaction
const reopened = open(path, { ...options, createIfMissing: false })
assert.equal(reopened.count(), 3)
assert.equal(reopened.get('after').toString(), 'written after the compaction')
console.log(`reopened with ${reopened.keys().toArray().join(' ')}`)
await reopened.close()
