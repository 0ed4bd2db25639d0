/**
 * Goal: threads share a `:memory:` store through its handle as they share a directory, and nothing
 *   of it is left when the last of them has closed it.
 * Method: workers open the handle, write, grow log and index, close in every order, are terminated
 *   in the middle of writes; descriptors and mappings of the process are counted.
 * Properties checked: what one wrote all see at once; no write of a live thread is lost or half
 *   there; the store lives as long as anybody has it open; handles that lead nowhere are refused.
 */
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { loadLibc } from '../../src/platform/libc.js'
import { open, type Store, type StoreHandle } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { refused, storeErrorOf } from '../support/store-error.js'
import type { Answer, Order } from './memory-worker.js'

const options = { segmentSizeBytes: 2 ** 20 } as const
const canShare = process.platform === 'linux' && loadLibc() !== undefined

/** A worker that has the store of a handle open. */
class Sharer {
  readonly worker: Worker

  private constructor(worker: Worker) {
    this.worker = worker
  }

  static async start(handle: StoreHandle): Promise<Sharer> {
    const worker = new Worker(new URL('./memory-worker.js', import.meta.url), {
      workerData: handle,
    })
    const sharer = new Sharer(worker)
    await sharer.#answer()
    return sharer
  }

  async do(order: Order): Promise<unknown> {
    const answer = this.#answer()
    this.worker.postMessage(order)
    return answer
  }

  /** Closes the store, and waits until the thread has ended. */
  async close(): Promise<void> {
    const exit = once(this.worker, 'exit')
    await this.do({ do: 'close' })
    await exit
  }

  async #answer(): Promise<unknown> {
    const [answer] = (await once(this.worker, 'message')) as [Answer]
    assert.equal(answer.error, undefined)
    return answer.result
  }
}

const memoryFiles = (): string[] =>
  readdirSync('/proc/self/fd').filter((fd) => {
    const path = `/proc/self/fd/${fd}`
    // The descriptor of the listing itself is gone by now.
    return existsSync(`/proc/self/fdinfo/${fd}`) && readlinkSync(path).startsWith('/memfd:varve')
  })

const memoryMappingCount = (): number =>
  readFileSync('/proc/self/maps', 'utf8').split('/memfd:varve').length - 1

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Node 20 unmaps when the garbage is collected, and keeps reachable what a thread used last. */
const unmapsAtOnce = 'transfer' in ArrayBuffer.prototype
/** More than a store has here, and less than the stores of 50 cycles. */
const mappingCountOfOneStore = 40

/** Nothing of a store in memory is left, but what was mapped before by threads that were terminated. */
async function assertNothingLeft(mappingCountBefore: number): Promise<void> {
  assert.deepEqual(memoryFiles(), [])
  const most = mappingCountBefore + (unmapsAtOnce ? 0 : mappingCountOfOneStore)
  for (let tries = 0; tries < 100 && memoryMappingCount() > most && !unmapsAtOnce; tries++) {
    collectGarbage()
    await sleep(10)
  }
  assert.ok(memoryMappingCount() <= most, `${memoryMappingCount()} mappings, at most ${most}`)
}

describe('a store in memory that is shared', { skip: !canShare }, () => {
  test('is one store in every thread, at once', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<unknown>(':memory:', options)
    store.put('from here', { a: 1 })
    const handle = structuredClone(store.share())
    const sharers = await Promise.all([1, 2, 3].map(() => Sharer.start(handle)))
    assert.equal(store.stats().attachments, 4)
    assert.equal(store.stats().mapping, 'memory')
    for (const [index, sharer] of sharers.entries()) {
      assert.deepEqual(await sharer.do({ do: 'get', key: 'from here' }), { a: 1 })
      await sharer.do({ do: 'put', key: `from ${index}`, value: index })
      assert.equal(store.get(`from ${index}`), index)
      for (const other of sharers) {
        assert.equal(await other.do({ do: 'get', key: `from ${index}` }), index)
      }
    }
    for (const sharer of sharers) await sharer.close()
    assert.equal(store.stats().attachments, 1)
    assert.equal(store.count(), 4)
    await store.close()
    await assertNothingLeft(mappingCount)
  })

  test('is one store where it is opened again in the same thread', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<number>(':memory:', { ...options, encoding: 'json' })
    const again = open<number>(store.share())
    assert.deepEqual([again.path, again.stats().lastRecovery.kind], [':memory:', 'attached'])
    again.put('a', 1)
    assert.equal(store.get('a'), 1)
    const reader = open<number>(store.share(), { readOnly: true })
    store.put('a', 2)
    assert.equal(reader.get('a'), 2)
    storeErrorOf(() => reader.put('a', 3), 'STORE_READ_ONLY')
    for (const each of [store, reader, again]) await each.close()
    await assertNothingLeft(mappingCount)
  })

  test('grows in log and index by whichever thread writes', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<string>(':memory:', options)
    const handle = store.share()
    const sharers = await Promise.all([1, 2].map(() => Sharer.start(handle)))
    const loads = sharers.map((sharer, index) =>
      sharer.do({ do: 'load', prefix: `w${index}-`, count: 20_000, valueLength: 200 }),
    )
    for (let index = 0; index < 20_000; index++) store.put(`here-${index}`, 'z'.repeat(200))
    // Larger than a quarter of a segment: a file of its own.
    store.put('large', 'l'.repeat(2 ** 19))
    await Promise.all(loads)
    assert.ok(store.stats().segments > 10)
    assert.equal(store.count(), 60_001)
    for (const sharer of sharers) {
      assert.equal(await sharer.do({ do: 'count' }), 60_001)
      assert.equal(await sharer.do({ do: 'get', key: 'here-19999' }), 'z'.repeat(200))
      assert.equal(await sharer.do({ do: 'get', key: 'large' }), 'l'.repeat(2 ** 19))
    }
    for (let index = 0; index < 20_000; index++) {
      for (const prefix of ['w0-', 'w1-']) {
        assert.equal(store.get(`${prefix}${index}`), 'x'.repeat(200))
      }
    }
    for (const sharer of sharers) await sharer.close()
    await store.close()
    await assertNothingLeft(mappingCount)
  })

  test('loses no update of threads that write the same key', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<number>(':memory:', options)
    const sharers = await Promise.all([1, 2, 3].map(() => Sharer.start(store.share())))
    await Promise.all(
      sharers.map((sharer) => sharer.do({ do: 'increment', key: 'n', count: 5000 })),
    )
    assert.equal(store.get('n'), 15_000)
    for (const sharer of sharers) await sharer.close()
    await store.close()
    await assertNothingLeft(mappingCount)
  })

  test('goes on when a thread is terminated in the middle of its writes', async () => {
    const store = open<unknown>(':memory:', options)
    const other = await Sharer.start(store.share())
    for (let round = 0; round < 10; round++) {
      const victim = await Sharer.start(store.share())
      await victim.do({ do: 'write-on', prefix: `v${round}-` })
      await sleep(round * 3)
      await victim.worker.terminate()
      assert.equal(store.stats().attachments, 2)
      store.put(`after ${round}`, round)
      assert.equal(await other.do({ do: 'get', key: `after ${round}` }), round)
      await other.do({ do: 'load', prefix: `o${round}-`, count: 500, valueLength: 50 })
      assert.equal(store.get(`o${round}-499`), 'x'.repeat(50))
    }
    // What is counted can be read, and nothing else can.
    let seen = 0
    for (let round = 0; round < 10; round++) {
      if (store.get(`after ${round}`) === round) seen++
      for (let index = 0; index < 500; index++) if (store.has(`o${round}-${index}`)) seen++
      for (let index = 0; index < 20_000; index++) {
        const value = store.get(`v${round}-${index}`) as { index: number; text: string } | undefined
        if (value === undefined) continue
        assert.equal(value.index % 20_000, index)
        assert.equal(value.text, 'y'.repeat(value.index % 300))
        seen++
      }
    }
    assert.equal(seen, store.count())
    await other.close()
    await store.close()
    assert.deepEqual(memoryFiles(), [])
  })

  test('gives its memory back though a thread that had it mapped was terminated', async () => {
    const before = residentMemoryFileBytes()
    const store = open<unknown>(':memory:', options)
    const victim = await Sharer.start(store.share())
    await victim.do({ do: 'load', prefix: 'v', count: 20_000, valueLength: 1000 })
    await victim.worker.terminate()
    assert.ok(residentMemoryFileBytes() > before + 2 ** 24)
    await store.close()
    assert.deepEqual(memoryFiles(), [])
    // The directory of the files is what the thread's mappings still hold.
    assert.ok(residentMemoryFileBytes() < before + 2 ** 20)
  })

  test('lives on when the thread that made it closes first', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<unknown>(':memory:', options)
    store.put('a', 1)
    const handle = store.share()
    const first = await Sharer.start(handle)
    await store.close()
    assert.equal(await first.do({ do: 'get', key: 'a' }), 1)
    const second = await Sharer.start(handle)
    await first.close()
    await second.do({ do: 'load', prefix: 'k', count: 5000, valueLength: 500 })
    const again = open<unknown>(handle)
    assert.equal(again.get('a'), 1)
    assert.equal(again.count(), 5001)
    await second.close()
    assert.equal(again.get('k4999'), 'x'.repeat(500))
    await again.close()
    storeErrorOf(() => open(handle), 'STORE_NOT_FOUND')
    await assertNothingLeft(mappingCount)
  })

  test('is found by its handle after all that had it open were terminated', async () => {
    const store = open<unknown>(':memory:', options)
    const handle = store.share()
    store.put('a', 1)
    const victim = await Sharer.start(handle)
    await store.close()
    await victim.do({ do: 'write-on', prefix: 'v' })
    await victim.worker.terminate()
    const again = open<unknown>(handle)
    assert.equal(again.stats().lastRecovery.kind, 'same-boot')
    assert.equal(again.get('a'), 1)
    again.put('a', 2)
    assert.equal(again.get('a'), 2)
    await again.close()
    assert.deepEqual(memoryFiles(), [])
  })

  test('is unmapped by a thread that closed it and exited', async () => {
    const store = open<unknown>(':memory:', options)
    store.put('a', 1)
    // What earlier tests left to the collector must not hide what is left here.
    collectGarbage()
    await sleep(10)
    const mappingCount = memoryMappingCount()
    for (let round = 0; round < 5; round++) {
      const sharer = await Sharer.start(store.share())
      await sharer.do({ do: 'put', key: 'a', value: round })
      await sharer.close()
      assert.ok(memoryMappingCount() <= mappingCount)
    }
    await store.close()
  })

  test('is full where there are no more descriptors, and goes on with what it has', () => {
    const run = runScript(
      `
      import { open, StoreError } from '${module}'
      const store = open(':memory:', { segmentSizeBytes: 2 ** 20, encoding: 'utf8' })
      const again = open(store.share())
      let count = 0
      try {
        for (; ; count++) store.put('k' + count, 'x'.repeat(2 ** 17))
      } catch (error) {
        console.log(error instanceof StoreError && error.code)
      }
      again.put('k0', 'changed')
      console.log(store.get('k0'), store.count() === count, store.get('k' + (count - 1)).length)
      await store.close()
      await again.close()`,
      ['sh', '-c', 'ulimit -n 256; exec "$0" "$@"'],
    )
    assert.equal(run.stdout, `STORE_FULL\nchanged true ${2 ** 17}\n`, run.stderr)
  })

  test('leaves nothing after 50 openings and closings', async () => {
    const mappingCount = memoryMappingCount()
    const descriptors = readdirSync('/proc/self/fd').length
    for (let cycle = 0; cycle < 50; cycle++) await fillAndClose(cycle)
    assert.equal(readdirSync('/proc/self/fd').length, descriptors)
    await assertNothingLeft(mappingCount)
  })

  test('resolves sync() and writes nothing to disk', async (t) => {
    const directory = temporaryDirectory(t)
    const run = runScript(
      `
      import { open } from '${module}'
      const store = open(':memory:')
      const again = open(store.share())
      again.put('a', 1)
      await again.sync()
      await store.close()
      await again.close()`,
      [],
      directory,
    )
    assert.equal(run.status, 0, run.stderr)
    assert.deepEqual(readdirSync(directory), [])
  })
})

const module = new URL('../../src/store/index.js', import.meta.url).href

/** Runs a module in a process of its own, started by `command` where one is given. */
function runScript(
  script: string,
  command: readonly string[] = [],
  cwd: string = process.cwd(),
): SpawnSyncReturns<string> {
  const [program, ...args] = [...command, process.execPath, '--input-type=module', '-e', script]
  return spawnSync(program, args, { cwd, encoding: 'utf8' })
}

async function fillAndClose(cycle: number): Promise<void> {
  const store = open<number>(':memory:', options)
  const again = open<number>(store.share())
  for (let index = 0; index < 100; index++) store.put(`k${index}`, cycle)
  assert.equal(again.get('k99'), cycle)
  await store.close()
  await again.close()
}

/** Bytes of files in memory that this process has mapped, deleted ones too. */
function residentMemoryFileBytes(): number {
  let bytes = 0
  let isMemoryFile = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isMemoryFile = line.includes('/memfd:varve')
    if (isMemoryFile && line.startsWith('Rss:')) bytes += Number(line.split(/\s+/)[1]) * 1024
  }
  return bytes
}

describe('a handle', { skip: !canShare }, () => {
  test('of a store in memory is refused in another process, naming both', async () => {
    const store = open(':memory:', options)
    const handle = JSON.stringify(store.share())
    const run = runScript(`
      import { open } from '${module}'
      try { open(${handle}) } catch (error) { console.log(error.code, error.message) }`)
    assert.match(run.stdout, /^STORE_NOT_FOUND .*memory of process/)
    assert.ok(run.stdout.includes(`process ${process.pid}`))
    await store.close()
  })

  test('of a store in memory that was closed gives STORE_NOT_FOUND, also after others began', async () => {
    const store = open(':memory:', options)
    const handle = store.share()
    await store.close()
    storeErrorOf(() => open(handle), 'STORE_NOT_FOUND')
    const next = open<number>(':memory:', options)
    next.put('a', 1)
    assert.equal(next.share().memory?.descriptor, handle.memory?.descriptor, 'the number is reused')
    storeErrorOf(() => open(handle), 'STORE_NOT_FOUND')
    storeErrorOf(() => store.share(), 'STORE_CLOSED')
    assert.equal(next.get('a'), 1)
    await next.close()
  })

  test('that leads to something else gives STORE_NOT_FOUND', async () => {
    const store = open(':memory:', options)
    const handle = store.share()
    const { memory } = handle
    assert.ok(memory !== undefined)
    const others = [0, 1, memory.descriptor + 1, 100_000, Number.MAX_SAFE_INTEGER]
    for (const descriptor of others) {
      storeErrorOf(() => open({ ...handle, memory: { ...memory, descriptor } }), 'STORE_NOT_FOUND')
    }
    await store.close()
  })

  test('that no share() gave is a TypeError', async () => {
    const store = open(':memory:', options)
    const handle = store.share()
    const { memory } = handle
    const garbage: unknown[] = [
      {},
      [],
      null,
      7,
      () => handle,
      new Map(),
      { path: ':memory:' },
      { ...handle, memory: undefined },
      { ...handle, memory: 3 },
      { ...handle, memory: { ...memory, descriptor: '3' } },
      { ...handle, memory: { ...memory, descriptor: -1 } },
      { ...handle, memory: { ...memory, identity: 3 } },
      { ...handle, path: './elsewhere' },
      { ...handle, encoding: 'xml' },
      { ...handle, keyEncoding: 'xml' },
    ]
    for (const value of garbage) {
      refused(() => open(value as StoreHandle), TypeError, 'accepted', 'share()')
    }
    await store.close()
  })

  test('keeps the encodings; options beside it go before', async () => {
    const mappingCount = memoryMappingCount()
    const store = open<string>(':memory:', { ...options, encoding: 'utf8', keyEncoding: 'ordered' })
    const again = open<string, never>(store.share())
    assert.deepEqual(again.encodings, { encoding: 'utf8', keyEncoding: 'ordered' })
    store.put('a', 'text')
    refused(() => open(store.share(), { encoding: 'json' }), TypeError, '"utf8"')
    refused(() => open(store.share(), { segmentSizeBytes: 2 ** 21 }), RangeError, '1048576')
    refused(() => open(store.share(), { cache: 1 } as object), TypeError, '"cache"')
    assert.equal(store.stats().attachments, 2)
    await again.close()
    await store.close()
    await assertNothingLeft(mappingCount)
  })

  test('of a store with an encoding of its own needs it as an option', async () => {
    const encoding = {
      encode: (value: string): Uint8Array => Buffer.from(value).reverse(),
      decode: (bytes: Buffer): string => bytes.reverse().toString(),
    }
    const store = open<string>(':memory:', { ...options, encoding })
    const handle = structuredClone(store.share())
    store.put('a', 'text')
    refused(() => open(handle), TypeError, '{ encode, decode }')
    const again = open<string>(handle, { encoding })
    assert.equal(again.get('a'), 'text')
    await again.close()
    await store.close()
  })

  test('of a store in a directory opens it in a worker too', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<unknown>(join(directory, '.', 'store'), { ...options, encoding: 'json' })
    const handle = store.share()
    assert.equal(handle.path, join(directory, 'store'))
    const sharer = await Sharer.start(handle)
    await sharer.do({ do: 'put', key: 'a', value: [1] })
    assert.deepEqual(store.get('a'), [1])
    await sharer.close()
    await store.close()
  })
})

test('a store that nobody can share says so', async (t) => {
  const stores: Store[] = [
    open(temporaryDirectory(t), { ...options, mapping: 'file' }),
    open(':memory:', { ...options, mapping: 'file' }),
  ]
  for (const store of stores) {
    refused(() => store.share(), TypeError, 'accepted', 'mapped')
    store.put('a', 1)
    assert.equal(store.get('a'), 1)
    await store.close()
  }
})

test('without FFI a store in memory works as ever, and says that nobody can share it', () => {
  const run = runScript(`
    // Electron is where buffers over mapped memory are forbidden.
    Object.defineProperty(process.versions, 'electron', { value: '1' })
    const { open } = await import('${module}')
    const store = open(':memory:')
    store.put('a', 1)
    console.log(store.get('a'), store.stats().mapping, store.stats().attachments)
    try { store.share() } catch (error) { console.log(error.name, error.message) }
    await store.close()`)
  assert.match(run.stdout, /^1 memory 1\nTypeError .*accepted: .*\/dev\/shm\n$/, run.stderr)
})
