/**
 * Goal: what a VarveLevel does beyond abstract-level's suite: its store, its options, its errors.
 * Properties checked: it is a store of bytes like any other, opened by others at once; `sync` reaches
 *   the medium; `:memory:` says that nothing lasts; every refusal has a code of abstract-level and the
 *   store's error as its cause; who imports the store does not load abstract-level.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { LevelError, VarveLevel } from '../../src/level/index.js'
import { open, StoreError } from '../../src/store/index.js'
import { contentsOf, temporaryDirectory } from '../support/directory.js'
import { codeBlockOf, runExample } from '../support/example.js'
import { fill, numbered, openLevel, rejectionOf, smallSegments } from './database.js'

describe('the store of a VarveLevel', () => {
  test('can be opened beside it, and has keys and values as bytes', async (t) => {
    const path = temporaryDirectory(t)
    const db = await openLevel(path)
    await using store = open<Buffer, Uint8Array>(path)
    assert.deepEqual(store.encodings, { encoding: 'binary', keyEncoding: 'binary' })
    await db.put('ключ', 'значение')
    assert.equal(store.get(Buffer.from('ключ'))?.toString(), 'значение')
    store.put(Buffer.from('b'), Buffer.from('2'))
    assert.equal(await db.get('b'), '2')
    await db.close()
    assert.equal(store.count(), 2)
  })

  test('is one for all that opened it, in other threads, too', async (t) => {
    const path = temporaryDirectory(t)
    const db = await openLevel(path)
    const beside = await openLevel(path)
    await db.put('from', 'this thread')
    const worker = new Worker(fileURLToPath(new URL('./sharer-worker.js', import.meta.url)), {
      workerData: { path },
    })
    const [seen] = await once(worker, 'message')
    assert.equal(seen, 'this thread')
    assert.equal(await db.get('from'), 'another thread')
    assert.deepEqual(await beside.sublevel('inner').iterator().all(), [['a', '1']])
    await once(worker, 'exit')
    await db.close()
    assert.equal(await beside.get('from'), 'another thread', 'who closes takes nobody along')
    await beside.close()
  })

  test('in memory says that nothing lasts', async (t) => {
    const db = await openLevel(':memory:')
    assert.equal(db.supports.permanence, false)
    await db.put('a', '1')
    assert.deepEqual(await db.iterator().all(), [['a', '1']])
    await db.close()
    const lasting = new VarveLevel(temporaryDirectory(t))
    assert.equal(lasting.supports.permanence, true)
    await lasting.close()
  })

  test('has a write on its medium when one with `sync` resolves', async (t) => {
    const path = temporaryDirectory(t)
    const db = await openLevel(path, { syncIntervalMs: 0 })
    await using store = open(path)
    const isSynced = (): boolean => store.stats().durable >= store.stats().tail
    const sync = true
    for (const write of [
      () => db.put('b', '2', { sync }),
      () => db.del('b', { sync }),
      () => db.batch([{ type: 'put', key: 'c', value: '3' }], { sync }),
      () => db.batch().put('d', '4').write({ sync }),
    ]) {
      await db.put('a', '1')
      assert.equal(isSynced(), false)
      await write()
      assert.equal(isSynced(), true)
    }
    await db.close()
  })

  test('takes values that need a segment of their own, of both kinds', async (t) => {
    const db = await openLevel(temporaryDirectory(t))
    const text = 'é'.repeat(300_000)
    const bytes = Buffer.alloc(400_000, 7)
    await db.put('text', text)
    await db.put<string, Buffer>('bytes', bytes, { valueEncoding: 'buffer' })
    assert.equal(await db.get('text'), text)
    assert.deepEqual(db.getSync<string, Buffer>('bytes', { valueEncoding: 'buffer' }), bytes)
    const values = await db.values<string, Buffer>({ valueEncoding: 'buffer' }).all()
    assert.deepEqual(values, [bytes, Buffer.from(text)])
    await db.close()
  })

  test('keeps no reference to buffers that were given or taken', async (t) => {
    const db = await openLevel<Buffer, Buffer>(temporaryDirectory(t), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    })
    const key = Buffer.from('key')
    const value = Buffer.from('value')
    const writing = db.batch([{ type: 'put', key, value }])
    key.fill(0)
    value.fill(0)
    await writing
    const [[foundKey, foundValue]] = await db.iterator().nextv(1)
    assert.equal(foundKey.toString(), 'key')
    assert.equal(foundValue.toString(), 'value')
    foundKey.fill(0)
    foundValue.fill(0)
    assert.equal((await db.get(Buffer.from('key')))?.toString(), 'value')
    await db.close()
  })
})

describe('a refusal', () => {
  test('to open has the code and the reason behind it', async (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const missing = new VarveLevel(path, { createIfMissing: false })
    const error = await rejectionOf(missing.open(), 'LEVEL_DATABASE_NOT_OPEN')
    assert.ok(error.cause instanceof LevelError)
    assert.ok(error.cause.cause instanceof StoreError)
    assert.equal(error.cause.cause.code, 'STORE_NOT_FOUND')

    const db = await openLevel(path, { mapping: 'file' })
    const second = new VarveLevel(path, { mapping: 'file', lockTimeoutMs: 0 })
    const locked = await rejectionOf(second.open(), 'LEVEL_DATABASE_NOT_OPEN')
    assert.equal(locked.cause?.code, 'LEVEL_LOCKED')
    assert.equal(locked.cause?.cause?.code, 'STORE_LOCKED')
    await db.close()
    await second.open()
    await second.close()
  })

  test('of a store with other encodings leaves it as it is', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open(path, smallSegments)
    store.put('a', 1)
    const error = await rejectionOf(new VarveLevel(path).open(), 'LEVEL_DATABASE_NOT_OPEN')
    assert.ok(error.cause instanceof TypeError)
    assert.match(error.cause.message, /"msgpack"/)
    assert.equal(store.get('a'), 1)
  })

  test('of a directory of LevelDB leaves it as it is', async (t) => {
    const path = temporaryDirectory(t)
    writeFileSync(join(path, 'CURRENT'), 'MANIFEST-000002\n')
    const before = contentsOf(path)
    const error = await rejectionOf(new VarveLevel(path).open(), 'LEVEL_DATABASE_NOT_OPEN')
    assert.equal(error.cause?.code, 'LEVEL_CORRUPTION')
    assert.equal(error.cause?.cause?.code, 'STORE_FORMAT')
    assert.deepEqual(contentsOf(path), before)
  })

  test('to write by one that may only read', async (t) => {
    const path = temporaryDirectory(t)
    const db = await openLevel(path)
    await db.put('a', '1')
    const reader = await openLevel(path, { readOnly: true })
    assert.equal(await reader.get('a'), '1')
    assert.deepEqual(await reader.iterator().all(), [['a', '1']])
    for (const write of [
      () => reader.put('b', '2'),
      () => reader.del('a'),
      () => reader.batch([{ type: 'put', key: 'b', value: '2' }]),
      () => reader.clear(),
    ]) {
      const error = await rejectionOf(write(), 'LEVEL_READONLY')
      assert.equal(error.cause?.code, 'STORE_READ_ONLY')
    }
    await reader.close()
    await db.close()
  })

  test('of a key or value that cannot be stored, before anything of a batch is', async (t) => {
    const db = await openLevel(temporaryDirectory(t))
    const long = 'x'.repeat(65_536)
    const lone = 'a\ud800'
    for (const key of [long, lone]) {
      await rejectionOf(db.put(key, '1'), 'LEVEL_INVALID_KEY')
      await rejectionOf(db.get(key), 'LEVEL_INVALID_KEY')
      assert.throws(() => db.iterator({ gte: key }), { code: 'LEVEL_INVALID_KEY' })
      const batch = db.batch([
        { type: 'put', key: 'a', value: '1' },
        { type: 'put', key, value: '2' },
      ])
      await rejectionOf(batch, 'LEVEL_INVALID_KEY')
    }
    await rejectionOf(db.put('a', lone), 'LEVEL_INVALID_VALUE')
    assert.deepEqual(await db.keys().all(), [])
    await db.put('x'.repeat(65_535), 'the longest')
    await db.close()
  })

  test('of a snapshot that is not of the database', async (t) => {
    const db = await openLevel(temporaryDirectory(t))
    const other = await openLevel(temporaryDirectory(t))
    await db.put('a', '1')
    const snapshot = other.snapshot()
    await assert.rejects(db.get('a', { snapshot }), TypeError)
    assert.throws(() => db.iterator({ snapshot }), TypeError)
    await Promise.all([db.close(), other.close()])
  })

  test('of a location that is none', () => {
    for (const location of ['', undefined, 1]) {
      assert.throws(() => new VarveLevel(location as string), TypeError)
    }
  })
})

describe('the package', () => {
  const root = process.cwd()
  const loads = (name: string): boolean => {
    const code = `
      import { createRequire } from 'node:module'
      await import('${name}')
      const files = Object.keys(createRequire('${root}/package.json').cache)
      console.log(files.some((file) => file.includes('abstract-level')))`
    const { stderr, stdout } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', code],
      { cwd: root, encoding: 'utf8' },
    )
    assert.equal(stderr, '')
    return stdout.trim() === 'true'
  }

  test('loads abstract-level for those who import varve/level, and for nobody else', () => {
    assert.equal(loads('varve/level'), true)
    assert.equal(loads('varve'), false)
  })
})

test('the example of docs/level.md prints what it says', (t) => {
  const code = codeBlockOf('docs/level.md', 'varve/level')
  assert.equal(runExample(temporaryDirectory(t), code), 'ada Ada\neve Eve\n1 false\n')
})

test('a clear that was begun is done before the database is closed', async (t) => {
  const path = temporaryDirectory(t)
  const db = await openLevel(path)
  await fill(db, numbered(5000))
  const clearing = db.clear({ gte: '001000' })
  await db.put('new', 'kept')
  await db.close()
  await clearing
  await db.open()
  assert.deepEqual(await db.keys().all(), [...numbered(1000).map(([key]) => key), 'new'])
  await db.close()
})
