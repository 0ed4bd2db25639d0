/**
 * Makes the stores that golden-stores.test.ts opens: `node build/test/format/make-golden.js`. While the
 * format of a version can still change, they are made anew with it; once it is released, never again.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checksumBytes } from '../../src/base/checksum.js'
import { abandon } from '../../src/engine/close.js'
import { volatileFileNames } from '../../src/format/file-names.js'
import { formatVersion } from '../../src/format/version.js'
import { open, type Store, type StoreOptions } from '../../src/store/index.js'
import { copyStore } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import {
  type Expected,
  type GoldenState,
  type GoldenStore,
  goldenDirectory,
  pack,
  stateOf,
} from './golden-stores.js'

const options: StoreOptions = {
  encoding: 'json',
  segmentSizeBytes: 2 ** 20,
  syncIntervalMs: 0,
  autoCheckpoint: false,
}
/** Other files are locks, or are never believed. */
const alwaysKept = /^(superblock|manifest|(segment|value|checkpoint)-\d+)$/
const isKept = (name: string): boolean => alwaysKept.test(name) || volatileFileNames.includes(name)

const farOffMs = Date.UTC(2999, 0, 1)

function writeFirst(store: Store): void {
  store.put('text', 'blåbær')
  store.put('number', 0.1)
  store.put('object', { nested: [1, null, true] })
  store.put('gone', 1)
  store.delete('gone')
  store.put('updated', 'aaaa')
  store.put('updated', 'bbbb')
  store.put('lasting', 'until 2999', { expiresAtMs: farOffMs })
  store.put('expired', 'long ago', { expiresAtMs: 1 })
  const bytes = store.keyspace<Buffer>('bytes', { encoding: 'binary' })
  bytes.put('', Buffer.alloc(0))
  bytes.put('large', Buffer.alloc(300_000, 'a value of its own segment'))
  const ordered = store.keyspace<unknown, number>('ordered', {
    keyEncoding: 'ordered',
    encoding: 'msgpack',
  })
  for (const key of [-1.5, 0, 7, 10]) ordered.put(key, { key })
  store.keyspace('dropped').put('a', 1)
  store.dropKeyspace('dropped')
  store.write([
    { type: 'put', key: 'batch 1', value: 1 },
    { type: 'delete', key: 'number' },
    { type: 'put', key: 'batch 2', value: 2, keyspace: 'ordered' },
  ])
}

/** More than a segment, so that there are several. */
function writeMuch(store: Store): void {
  const filler = 'f'.repeat(90_000)
  for (let index = 0; index < 14; index++) store.put('filler', `${index}${filler}`)
  store.put('filler', 'short')
}

function writeSecond(store: Store): void {
  store.put('second', 'boot')
  store.delete('object')
  store.increment('counter', 5)
}

interface Made {
  readonly stores: GoldenStore[]
  readonly contents: Record<string, GoldenState>
}

const target = join(goldenDirectory, `version-${formatVersion}`)
const scratch = mkdtempSync(join(tmpdir(), 'varve-'))

function keep(name: string, from: string): void {
  for (const file of readdirSync(from)) {
    if (isKept(file)) pack(join(target, name), file, readFileSync(join(from, file)))
  }
}

/** Closed on the second boot that it had: the manifest names the segments of the first. */
async function makeClosed({ contents, stores }: Made): Promise<string> {
  const first = open(join(scratch, '1'), options)
  writeFirst(first)
  writeMuch(first)
  await first.checkpoint()
  await first.close()
  copyStore(join(scratch, '1'), join(scratch, '2'))
  const second = open(join(scratch, '2'), options)
  writeSecond(second)
  await second.sync()
  second.put('last', 1)
  contents.closed = stateOf(second)
  await second.close()
  keep('closed', join(scratch, '2'))
  const what = 'closed properly, on its second boot'
  stores.push({ name: 'closed', what, expected: { contents: 'closed' } })
  return join(scratch, '2')
}

/** Killed with records, and an update in place, that no sync covered. */
async function makeKilled({ contents, stores }: Made, from: string): Promise<string> {
  copyStore(from, join(scratch, '3'))
  const store = open(join(scratch, '3'), options)
  store.put('third', 'cccc')
  await store.sync()
  contents.synced = stateOf(store)
  store.put('unsynced', 'dddd')
  store.put('unsynced', 'eeee')
  contents.killed = stateOf(store)
  copyStore(join(scratch, '3'), join(scratch, '4'))
  abandon(engineOf(store))
  keep('killed', join(scratch, '4'))
  const what = 'copied as a kill leaves it, the control file included'
  stores.push({ name: 'killed', what, expected: { contents: 'killed' } })
  return join(scratch, '4')
}

type Files = Map<string, Buffer>

interface Damage {
  readonly name: string
  readonly of: 'closed' | 'killed'
  readonly what: string
  readonly damage: (files: Files) => void
  readonly expected: Expected
}

function file(files: Files, name: string): Buffer {
  const bytes = files.get(name)
  if (bytes === undefined) throw new Error(`there is no ${name}`)
  return bytes
}

function nameOf(files: Files, pattern: RegExp, at: number): string {
  const name = [...files.keys()].filter((known) => pattern.test(known)).at(at)
  if (name === undefined) throw new Error(`there is no ${pattern}`)
  return name
}

const usedEnd = (bytes: Buffer): number => bytes.findLastIndex((byte) => byte !== 0) + 1

function flip(bytes: Buffer, at: number): void {
  bytes[at] ^= 0x10
}

/** A superblock of the next version of the format, whole. */
function raiseVersion(superblock: Buffer): void {
  superblock.writeUInt32LE(formatVersion + 1, 8)
  superblock.writeInt32LE(checksumBytes(superblock.subarray(0, 4092), 0), 4092)
  superblock.copyWithin(4096, 0, 4096)
}

function damages(earlier: Files, files: Files): Damage[] {
  const firstSegment = nameOf(files, /^segment-/, 0)
  const secondSegment = nameOf(files, /^segment-/, 1)
  const lastSegment = nameOf(files, /^segment-/, -1)
  const value = nameOf(files, /^value-/, 0)
  const checkpoint = nameOf(files, /^checkpoint-/, 0)
  const corrupt = (name: string): Expected => ({ code: 'STORE_CORRUPT', file: name })
  const whole: Expected = { contents: 'closed' }
  const of = 'closed'
  return [
    {
      ...{ name: 'superblock-first-copy', of, what: 'garbage in the first copy' },
      expected: { contents: 'closed', problems: ['superblock'] },
      damage: (all) => void file(all, 'superblock').fill(0x5a, 16, 100),
    },
    {
      ...{ name: 'superblock-both-copies', of, what: 'a bit in each copy' },
      damage: (all) => {
        for (const at of [40, 4136]) flip(file(all, 'superblock'), at)
      },
      expected: corrupt('superblock'),
    },
    {
      ...{ name: 'superblock-next-version', of, what: 'a format that is to come' },
      damage: (all) => raiseVersion(file(all, 'superblock')),
      expected: { code: 'STORE_FORMAT', file: 'superblock' },
    },
    {
      ...{ name: 'manifest-bit', of, what: 'a bit of the manifest', expected: corrupt('manifest') },
      damage: (all) => flip(file(all, 'manifest'), 41),
    },
    {
      ...{ name: 'manifest-missing', of, what: 'no manifest', expected: corrupt('manifest') },
      damage: (all) => void all.delete('manifest'),
    },
    {
      ...{ name: 'manifest-earlier', of, what: 'the manifest of the first boot' },
      damage: (all) => void all.set('manifest', file(earlier, 'manifest')),
      expected: corrupt(lastSegment),
    },
    {
      ...{ name: 'segment-bit', of, what: 'a bit of a record that the manifest covers' },
      damage: (all) => {
        flip(file(all, firstSegment), 300)
        all.delete(checkpoint)
      },
      expected: corrupt(firstSegment),
    },
    {
      ...{
        name: 'segment-bit-below-checkpoint',
        of,
        what: 'the same, where opening does not look',
      },
      damage: (all) => flip(file(all, firstSegment), 300),
      expected: { contents: 'closed', problems: [firstSegment] },
    },
    {
      ...{ name: 'segment-header-bit', of, what: 'a bit of the header of a segment' },
      damage: (all) => flip(file(all, secondSegment), 50),
      expected: corrupt(secondSegment),
    },
    {
      ...{ name: 'segment-missing', of, what: 'a segment is not there' },
      damage: (all) => void all.delete(secondSegment),
      expected: corrupt(secondSegment),
    },
    {
      ...{ name: 'segment-cut', of, what: 'a segment ends too early' },
      damage: (all) => {
        const bytes = file(all, secondSegment)
        all.set(secondSegment, bytes.subarray(0, usedEnd(bytes) - 100))
      },
      expected: corrupt(secondSegment),
    },
    {
      ...{ name: 'segments-swapped', of, what: 'two segments have changed places' },
      damage: (all) => {
        const [a, b] = [file(all, firstSegment), file(all, secondSegment)]
        all.set(firstSegment, b).set(secondSegment, a)
      },
      expected: corrupt(firstSegment),
    },
    {
      ...{ name: 'last-record-bit', of, what: 'a bit of the last record, which a sync covered' },
      damage: (all) => flip(file(all, lastSegment), usedEnd(file(all, lastSegment)) - 4),
      expected: corrupt(lastSegment),
    },
    {
      ...{ name: 'garbage-behind-the-end', of, what: 'garbage where nothing was written yet' },
      damage: (all) => {
        const bytes = file(all, lastSegment)
        bytes.set(new Random(9).bytes(700), usedEnd(bytes) + 64)
      },
      expected: whole,
    },
    {
      ...{ name: 'value-bit', of, what: 'a bit of a value with a segment of its own' },
      damage: (all) => {
        flip(file(all, value), 100_000)
        all.delete(checkpoint)
      },
      expected: corrupt(firstSegment),
    },
    {
      ...{ name: 'checkpoint-bit', of, what: 'a bit of the checkpoint' },
      damage: (all) => flip(file(all, checkpoint), 200),
      expected: { contents: 'closed', passedOver: 1, problems: [checkpoint] },
    },
    {
      ...{ name: 'log-alone', of, what: 'nothing but what is always believed', expected: whole },
      damage: (all) => {
        for (const name of [...all.keys()]) {
          if (!/^(superblock|manifest|segment-|value-)/.test(name)) all.delete(name)
        }
      },
    },
    {
      ...{ name: 'killed-control-missing', of: 'killed', what: 'no control file' },
      damage: (all) => void all.delete('control'),
      expected: { contents: 'synced' },
    },
    {
      ...{ name: 'killed-torn', of: 'killed', what: 'the last record, which no sync covered' },
      damage: (all) => flip(file(all, lastOf(all)), usedEnd(file(all, lastOf(all))) - 2),
      expected: { contents: 'synced' },
    },
  ]
}

const lastOf = (files: Files): string => nameOf(files, /^segment-/, -1)

function readFiles(directory: string): Files {
  const names = readdirSync(directory).filter(isKept)
  return new Map(names.sort().map((name) => [name, readFileSync(join(directory, name))]))
}

function keepDamaged({ stores }: Made, damage: Damage, from: string): void {
  const { expected, name, of, what } = damage
  const before = readFiles(from)
  const files = readFiles(from)
  damage.damage(files)
  const removed = [...before.keys()].filter((known) => !files.has(known))
  for (const [known, bytes] of files) {
    if (before.get(known)?.equals(bytes) !== true) pack(join(target, name), known, bytes)
  }
  stores.push({ name, of, what, ...(removed.length > 0 ? { removed } : {}), expected })
}

async function make(): Promise<void> {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const made: Made = { stores: [], contents: {} }
  const closed = await makeClosed(made)
  const killed = await makeKilled(made, closed)
  for (const damage of damages(readFiles(join(scratch, '1')), readFiles(closed))) {
    keepDamaged(made, damage, damage.of === 'closed' ? closed : killed)
  }
  writeFileSync(join(target, 'golden.json'), `${JSON.stringify(made, undefined, 2)}\n`)
  rmSync(scratch, { recursive: true })
}

await make()
