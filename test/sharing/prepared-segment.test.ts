/**
 * Goal: of all that write to a store one has the blocks of the next segment, and whoever fills the tail
 *   segment goes on in it.
 * Method: two handles of one store in this thread; an owner that died is a number in the control file with a file of
 *   its name, and a kill between two steps of the taking is the state that it leaves.
 * Properties checked: the names in the directory, who has a prepared segment, `fileBytes`, and every record.
 * Kept by: log/prepared-segment.ts.
 */
import assert from 'node:assert/strict'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as layout from '../../src/format/control-layout.js'
import { dropAnyPrepared } from '../../src/log/prepared-segment.js'
import { open, type Store, type StoreOptions } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const segmentSizeBytes = 2 ** 20
const options = {
  ...{ segmentSizeBytes, encoding: 'binary', mapping: 'mmap' },
  ...{ syncIntervalMs: 0, autoCompact: false, autoCheckpoint: false },
} as StoreOptions<Buffer>

const valueSizeBytes = 1000
const keyOf = (index: number): string => `key ${index}`

class Pair {
  readonly directory: string
  readonly first: Store<Buffer>
  readonly second: Store<Buffer>
  count = 0

  constructor(directory: string) {
    this.directory = directory
    this.first = open<Buffer>(directory, options)
    this.second = open<Buffer>(directory, options)
  }

  put(store: Store<Buffer>): void {
    store.put(keyOf(this.count), Buffer.alloc(valueSizeBytes, this.count % 251))
    this.count++
  }

  putUntil(store: Store<Buffer>, isDone: () => boolean): void {
    for (let index = 0; !isDone(); index++) {
      assert.ok(index < 5000, 'what was waited for comes')
      this.put(store)
    }
  }

  putUntilRoll(store: Store<Buffer>): void {
    const { segments } = this
    this.putUntil(store, () => this.segments > segments)
  }

  /** The first one prepares, and has all blocks. */
  async prepare(): Promise<void> {
    const { log } = engineOf(this.first)
    this.putUntil(this.first, () => log.prepared !== undefined)
    while ((log.prepared?.file.reservedBytes() ?? 0) < segmentSizeBytes) await sleep(1)
  }

  get names(): string[] {
    return readdirSync(this.directory).filter((name) => name.startsWith('prepared-'))
  }

  get segments(): number {
    return readdirSync(this.directory).filter((name) => name.startsWith('segment-')).length
  }

  hasPrepared(store: Store<Buffer>): boolean {
    return engineOf(store).log.prepared !== undefined
  }

  setOwner(attachment: number): void {
    const { words } = engineOf(this.first).control
    Atomics.store(words, layout.preparedByWord, 1 + attachment)
  }

  async close(): Promise<void> {
    for (let index = 0; index < this.count; index++) {
      const value = this.second.get(keyOf(index))
      assert.deepEqual(value, Buffer.alloc(valueSizeBytes, index % 251), keyOf(index))
    }
    await this.first.close()
    await this.second.close()
    assert.deepEqual(this.names, [])
    const store = open<Buffer>(this.directory, { ...options, readOnly: true })
    assert.equal(store.stats().records, this.count)
    await store.close()
  }
}

describe('the next segment', () => {
  test('is prepared by one for all, and taken by whoever fills the tail segment', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    await pair.prepare()
    assert.deepEqual(pair.names, ['prepared-0001'])
    const { fileBytes } = pair.second.stats()
    assert.equal(fileBytes, 2 * segmentSizeBytes)
    const inode = statSync(join(pair.directory, 'prepared-0001')).ino
    pair.putUntilRoll(pair.second)
    assert.equal(pair.hasPrepared(pair.second), false)
    assert.deepEqual(pair.names, [])
    const newest = readdirSync(pair.directory)
      .filter((name) => name.startsWith('segment-'))
      .sort()
      .at(-1)
    assert.equal(statSync(join(pair.directory, newest ?? '')).ino, inode)
    assert.equal(pair.second.stats().fileBytes, 2 * segmentSizeBytes)
    // Now the second one comes first.
    pair.putUntil(pair.second, () => pair.hasPrepared(pair.second))
    pair.put(pair.first)
    assert.equal(pair.hasPrepared(pair.first), true, 'it has not looked yet')
    pair.putUntil(pair.first, () => !pair.hasPrepared(pair.first))
    assert.deepEqual(pair.names, ['prepared-0002'])
    for (let round = 0; round < 6; round++) {
      pair.putUntilRoll(round % 2 === 0 ? pair.first : pair.second)
      assert.ok(pair.names.length <= 1, pair.names.join())
    }
    await pair.close()
  })

  test('goes with an owner that closes; another one makes its own', async (t) => {
    const directory = temporaryDirectory(t)
    const pair = new Pair(directory)
    await pair.prepare()
    await pair.first.close()
    assert.deepEqual(pair.names, [])
    assert.equal(pair.second.stats().fileBytes, segmentSizeBytes)
    pair.putUntil(pair.second, () => pair.hasPrepared(pair.second))
    assert.deepEqual(pair.names, ['prepared-0002'])
    pair.putUntilRoll(pair.second)
    await pair.close()
  })

  test('is taken from an owner that died, if it has its blocks', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    pair.put(pair.first)
    writeFileSync(join(pair.directory, 'prepared-0009'), Buffer.alloc(segmentSizeBytes))
    pair.setOwner(9)
    pair.putUntilRoll(pair.second)
    assert.deepEqual(pair.names, [])
    await pair.close()
  })

  test('is given the rest of its blocks where its owner died before it had them', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    pair.put(pair.first)
    writeFileSync(join(pair.directory, 'prepared-0009'), Buffer.alloc(5000))
    pair.setOwner(9)
    const size = (): number => statSync(join(pair.directory, 'prepared-0009')).size
    pair.putUntil(pair.second, () => size() === segmentSizeBytes)
    pair.putUntilRoll(pair.second)
    assert.equal(pair.hasPrepared(pair.second), false)
    assert.deepEqual(pair.names, [])
    await pair.close()
  })

  test('is not held open by who lost it and only reads', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    await pair.prepare()
    pair.putUntilRoll(pair.second)
    assert.equal(pair.hasPrepared(pair.first), true)
    for (let round = 0; round < 8; round++) pair.putUntilRoll(pair.second)
    for (let index = 0; index < pair.count - 1; index++) pair.second.delete(keyOf(index))
    assert.ok((await pair.second.compact()).segmentsDropped > 1)
    pair.first.get(keyOf(pair.count - 1))
    assert.equal(pair.hasPrepared(pair.first), false)
    for (let index = 0; index < pair.count - 1; index++) {
      pair.second.put(keyOf(index), Buffer.alloc(valueSizeBytes, index % 251))
    }
    await pair.close()
  })

  test('is given up by an owner that lost it to one that died before the rename', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    await pair.prepare()
    pair.setOwner(-1)
    pair.putUntil(pair.second, () => pair.hasPrepared(pair.second))
    pair.putUntil(pair.first, () => !pair.hasPrepared(pair.first))
    assert.deepEqual(pair.names, ['prepared-0002'])
    pair.putUntilRoll(pair.first)
    await pair.close()
  })

  test('is given up for another one that needs the blocks', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    await pair.prepare()
    dropAnyPrepared(engineOf(pair.second).log)
    assert.deepEqual(pair.names, [])
    pair.first.get(keyOf(0))
    assert.equal(pair.hasPrepared(pair.first), false, 'its blocks are given back')
    pair.putUntil(pair.first, () => pair.names.length > 0)
    dropAnyPrepared(engineOf(pair.first).log)
    assert.deepEqual(pair.names, [])
    assert.equal(pair.hasPrepared(pair.first), false)
    pair.putUntilRoll(pair.second)
    await pair.close()
  })

  test('is not taken where its file is gone', async (t) => {
    const pair = new Pair(temporaryDirectory(t))
    await pair.prepare()
    pair.setOwner(9)
    pair.putUntilRoll(pair.second)
    pair.putUntil(pair.first, () => !pair.hasPrepared(pair.first))
    await pair.close()
  })
})
