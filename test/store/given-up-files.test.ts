/**
 * Goal: a file that is gone gives its blocks back, although the process that had it mapped lives on.
 * Method: the mappings that the system lists for this process, after stores were closed, recovered and
 *   compacted in it.
 * Properties checked: nothing of a closed store is mapped; behind a recovery no segment is mapped twice;
 *   a segment that was dropped, or prepared and given up, is mapped by nobody.
 * Kept by: `AddressRange` (platform/address-space.ts), `Log.close` (log/log.ts) and `dropPrepared` (log/prepared-segment.ts).
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dropPrepared } from '../../src/log/prepared-segment.js'
import { open, type Store, type StoreOptions } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const options = {
  ...{ segmentSizeBytes: 2 ** 20, encoding: 'binary', mapping: 'mmap' },
  ...{ syncIntervalMs: 0, autoCompact: false, autoCheckpoint: false },
} as StoreOptions<Buffer>

const skip = !existsSync('/proc/self/maps') && 'the system does not list mappings'

/** Names of the files of a directory that this process has mapped, once for each mapping. */
function mappedNames(directory: string): string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${directory}/`))
    .map((line) => line.slice(line.indexOf(directory) + directory.length + 1))
}

/** Six segments, of which half is dead. */
function fill(store: Store<Buffer>): void {
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 100; index++) {
      store.put(`key ${index}`, Buffer.alloc(30_000 + round, index))
    }
  }
}

async function compact(store: Store<Buffer>): Promise<void> {
  const { segmentsDropped } = await store.compact({ minGarbageRatio: 0.01 })
  assert.ok(segmentsDropped > 0)
}

describe('blocks of files that are gone', { skip }, () => {
  test('a closed store has nothing mapped', async (t) => {
    const directory = join(temporaryDirectory(t), 'store')
    const store = open<Buffer>(directory, options)
    fill(store)
    assert.notDeepEqual(mappedNames(directory), [])
    await store.close()
    assert.deepEqual(mappedNames(directory), [])
  })

  test('behind a recovery no segment is mapped twice, and what is dropped is mapped by nobody', async (t) => {
    const home = temporaryDirectory(t)
    const directory = join(home, 'copy')
    const first = open<Buffer>(join(home, 'store'), options)
    fill(first)
    await first.close()
    copyStore(join(home, 'store'), directory)
    const store = open<Buffer>(directory, options)
    assert.equal(store.stats().lastRecovery.kind, 'replay')
    const segments = mappedNames(directory).filter((name) => name.startsWith('segment-'))
    assert.equal(new Set(segments).size, segments.length)
    await compact(store)
    assert.deepEqual(
      mappedNames(directory).filter((name) => name.endsWith('(deleted)')),
      [],
    )
    await store.close()
  })

  test('a segment that was prepared and given up is mapped by nobody', async (t) => {
    const directory = join(temporaryDirectory(t), 'store')
    const store = open<Buffer>(directory, options)
    const { log } = engineOf(store)
    for (let index = 0; log.prepared?.mapping === undefined; index++) {
      store.put(`key ${index}`, Buffer.alloc(100))
    }
    assert.ok(mappedNames(directory).includes('prepared-0001'))
    dropPrepared(log)
    assert.deepEqual(
      mappedNames(directory).filter((name) => name.startsWith('prepared-')),
      [],
    )
    await store.close()
  })
})
