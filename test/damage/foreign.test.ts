/**
 * Goal: what is not Varve's is never taken for a store, and never changed (I12).
 * Method: files and directories of others at the path, and under the names that a store uses.
 * Properties checked: a typed refusal, and every byte as it was before; no file is added.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open, StoreError, type StoreOptions } from '../../src/store/index.js'
import { contentsOf, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { isDamageError, storeErrorOf, thrownBy } from '../support/store-error.js'

describe('something that is no store', () => {
  test('a file at the path is refused and left as it was', (t) => {
    const path = join(temporaryDirectory(t), 'file')
    for (const content of ['', 'VARVSTOR', 'any text', new Random(1).bytes(10_000)]) {
      writeFileSync(path, content)
      for (const options of [{}, { readOnly: true }, { createIfMissing: false }]) {
        storeErrorOf(() => open(path, options), 'STORE_FORMAT')
        assert.ok(readFileSync(path).equals(Buffer.from(content)))
      }
    }
  })

  test('a directory with a foreign superblock is refused and nothing is added to it', (t) => {
    const directory = temporaryDirectory(t)
    for (const content of ['', 'mine', Buffer.alloc(8192), new Random(3).bytes(8192)]) {
      writeFileSync(join(directory, 'superblock'), content)
      const before = contentsOf(directory)
      for (const options of [{ readOnly: true }, {}]) {
        assert.ok(isDamageError(thrownBy(() => open(directory, options))))
        assert.deepEqual(contentsOf(directory), before)
      }
    }
  })

  const names = [
    'control',
    'buckets',
    'overflow',
    'slots',
    'keyspaces',
    'prepared-0001',
    'attachment-0001',
    'lifecycle',
    'background',
    'lock',
    'superblock.next',
    'manifest.next',
  ]
  for (const name of names) {
    test(`somebody else's file named "${name}" is left as it was`, async (t) => {
      const directory = temporaryDirectory(t)
      const content = `this is not yours ${'.'.repeat(100_000)}`
      writeFileSync(join(directory, name), content)
      // Whether a store is made beside it or refused: the file is not the store's to change.
      let refused = false
      try {
        await open(directory, { segmentSizeBytes: 2 ** 20 }).close()
      } catch (error) {
        refused = error instanceof StoreError
        assert.ok(refused, String(error))
      }
      assert.equal(existsSync(join(directory, name)), true, `${name} was removed`)
      assert.ok(readFileSync(join(directory, name)).equals(Buffer.from(content)), 'was changed')
      if (refused) assert.deepEqual(readdirSync(directory), [name])
    })
  }

  const databases: Record<string, Record<string, string>> = {
    LevelDB: {
      CURRENT: 'MANIFEST-000004\n',
      'MANIFEST-000004': 'm',
      '000003.log': '',
      LOCK: '',
      LOG: 'l',
    },
    RocksDB: { CURRENT: 'MANIFEST-000004\n', IDENTITY: 'i', 'OPTIONS-000007': 'o' },
    LMDB: { 'data.mdb': 'd', 'lock.mdb': 'l' },
  }
  for (const [name, files] of Object.entries(databases)) {
    test(`a directory of ${name} is refused, whoever wants to open it, and left as it was`, (t) => {
      const directory = temporaryDirectory(t)
      for (const [file, content] of Object.entries(files)) {
        writeFileSync(join(directory, file), content)
      }
      const before = contentsOf(directory)
      const ways: StoreOptions[] = [
        {},
        { mapping: 'file' },
        { readOnly: true },
        { createIfMissing: false },
        { errorIfExists: true },
      ]
      for (const options of ways) {
        const error = storeErrorOf(() => open(directory, options), 'STORE_FORMAT')
        assert.ok(error.message.includes(name), error.message)
        assert.deepEqual(contentsOf(directory), before)
      }
    })
  }

  test('a segment without a superblock is refused and left as it was', (t) => {
    const directory = temporaryDirectory(t)
    writeFileSync(join(directory, 'segment-0000000000000001'), Buffer.alloc(1000, 1))
    const before = contentsOf(directory)
    for (const options of [{ readOnly: true }, {}] satisfies StoreOptions[]) {
      storeErrorOf(() => open(directory, options), 'STORE_CORRUPT')
      assert.deepEqual(contentsOf(directory), before)
    }
  })

  test("another store's segment is not removed because its number is in no manifest", async (t) => {
    const directory = temporaryDirectory(t)
    const options = { segmentSizeBytes: 2 ** 20, mapping: 'file' } as const
    // Opening without a mapping reads the log again each time, and numbers are used up.
    for (let round = 0; round < 3; round++) {
      const store = open(directory, options)
      if (round === 2) store.put('key', round)
      await store.close()
    }
    const gap = [1, 2].find(
      (number) => !existsSync(join(directory, `segment-${String(number).padStart(16, '0')}`)),
    )
    assert.ok(gap !== undefined, 'there is a number without a file')
    const path = join(directory, `segment-${String(gap).padStart(16, '0')}`)
    const other = join(temporaryDirectory(t), 'other')
    await open(other, { segmentSizeBytes: 2 ** 20 }).close()
    const segment = readFileSync(join(other, 'segment-0000000000000001'))
    for (const foreign of [new Random(4).bytes(5000), segment]) {
      writeFileSync(path, foreign)
      assert.throws(() => open(directory, options), isDamageError)
      assert.ok(existsSync(path) && readFileSync(path).equals(foreign), 'the file was removed')
    }
  })

  test('other files in a directory do not matter, and are left as they were', async (t) => {
    const directory = temporaryDirectory(t)
    mkdirSync(join(directory, 'segments'))
    writeFileSync(join(directory, 'readme.txt'), 'mine')
    writeFileSync(join(directory, 'segment-1'), 'mine')
    writeFileSync(join(directory, 'CURRENT'), 'of another kind')
    writeFileSync(join(directory, 'LOG'), 'mine')
    const store = open(directory, { segmentSizeBytes: 2 ** 20 })
    store.put('a', 1)
    await store.close()
    const again = open(directory)
    assert.equal(again.get('a'), 1)
    await again.close()
    // Those of others may come later: a store is a store.
    writeFileSync(join(directory, 'data.mdb'), 'mine')
    await open(directory).close()
    assert.equal(readFileSync(join(directory, 'readme.txt'), 'utf8'), 'mine')
    assert.equal(readFileSync(join(directory, 'segment-1'), 'utf8'), 'mine')
  })
})
