/**
 * Goal: the lock lets one writer in, whoever has FFI and whoever has not, and never stays behind.
 * Method: `takeLock` with and without the C library, in this process and in others that are killed;
 *   claims of dead processes, earlier boots, other namespaces, and reused process numbers.
 * Properties checked: STORE_LOCKED while somebody may be alive; taken over when he is gone; of many
 *   that take over at once, one has it.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadLibc } from '../../src/platform/libc.js'
import { takeLock } from '../../src/platform/lock.js'
import { temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'

const holder = {
  processId: process.pid,
  threadId: 0,
  hostname: 'here',
  since: '2024-01-01T00:00:00.000Z',
}
const child = fileURLToPath(new URL('../../linked/test/platform/claim-child.js', import.meta.url))

interface Claim {
  readonly processId: number
  readonly processStart: string
  readonly bootId: string
  readonly processNamespace: string
}

/** A process that claims a lock without FFI, says how it went, and waits to be killed. */
function claimElsewhere(
  path: string,
): Promise<{ readonly answer: string; readonly kill: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [child, path], { stdio: ['pipe', 'pipe', 'inherit'] })
    const kill = (): Promise<void> =>
      new Promise((done) => {
        running.once('close', () => done())
        running.kill('SIGKILL')
      })
    running.once('error', reject)
    running.stdout.setEncoding('utf8').once('data', (line: string) => {
      resolve({ answer: line.trim(), kill })
    })
  })
}

/** A claim as this process would make it, with some fields changed. */
function forgeClaim(path: string, changes: Partial<Claim>): void {
  const lock = takeLock(undefined, path, 'write', holder)
  const claim = JSON.parse(readFileSync(`${path}.claim`, 'utf8')) as Claim
  lock.release()
  writeFileSync(`${path}.claim`, JSON.stringify({ ...claim, ...changes }))
}

describe('a lock without FFI', () => {
  test('is held once, names its holder, and is gone when released', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const lock = takeLock(undefined, path, 'write', holder)
    for (const mode of ['write', 'read'] as const) {
      const error = storeErrorOf(() => takeLock(undefined, path, mode, holder), 'STORE_LOCKED')
      assert.equal(error.details.holder?.processId, process.pid)
    }
    lock.release()
    assert.deepEqual(readdirSync(join(path, '..')), [])
    takeLock(undefined, path, 'write', holder).release()
  })

  test('of a process that was killed is taken over', async (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const other = await claimElsewhere(path)
    assert.equal(other.answer, 'claimed')
    storeErrorOf(() => takeLock(undefined, path, 'write', holder), 'STORE_LOCKED')
    storeErrorOf(() => takeLock(undefined, path, 'read', holder), 'STORE_LOCKED')
    await other.kill()
    const lock = takeLock(undefined, path, 'write', holder)
    const claim = JSON.parse(readFileSync(`${path}.claim`, 'utf8')) as Claim
    assert.equal(claim.processId, process.pid)
    lock.release()
    assert.deepEqual(readdirSync(join(path, '..')), [])
  })

  test('is taken over by one of many that try at once', async (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const dead = await claimElsewhere(path)
    await dead.kill()
    const all = await Promise.all(Array.from({ length: 5 }, () => claimElsewhere(path)))
    const claimed = all.filter(({ answer }) => answer === 'claimed')
    const refused = all.filter(({ answer }) => answer === 'STORE_LOCKED')
    assert.equal(claimed.length, 1)
    assert.equal(refused.length, 4)
    await Promise.all(all.map(({ kill }) => kill()))
    takeLock(undefined, path, 'write', holder).release()
  })

  test('of an earlier boot, or of a process number that was given again, is taken over', (t) => {
    if (process.platform !== 'linux') return t.skip('only Linux tells when a process started')
    const path = join(temporaryDirectory(t), 'lock')
    for (const changes of [{ bootId: 'another' }, { processStart: '1' }, { processId: 2 ** 22 }]) {
      forgeClaim(path, changes)
      takeLock(undefined, path, 'write', holder).release()
      assert.ok(!existsSync(`${path}.claim`))
    }
  })

  test('made in another process namespace stays for a human', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    forgeClaim(path, { processNamespace: 'pid:[1]', processId: 2 ** 22 })
    storeErrorOf(() => takeLock(undefined, path, 'write', holder), 'STORE_LOCKED')
    storeErrorOf(() => takeLock(undefined, path, 'read', holder), 'STORE_LOCKED')
  })

  test('whose claim is no claim is refused, not misread', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    for (const content of ['', 'garbage']) {
      writeFileSync(`${path}.claim`, content)
      storeErrorOf(() => takeLock(undefined, path, 'write', holder), 'STORE_LOCKED')
      assert.equal(readFileSync(`${path}.claim`, 'utf8'), content)
    }
  })

  test('may be shared by any number of readers, who do not hold up a writer', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const readers = [1, 2].map(() => takeLock(undefined, path, 'read', holder))
    const writer = takeLock(undefined, path, 'write', holder)
    for (const lock of [...readers, writer]) lock.release()
  })
})

const libc = loadLibc()

describe('locks with and without FFI', { skip: libc === undefined ? 'no FFI here' : false }, () => {
  test('who has FFI is refused by the claim of one who has not', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const claim = takeLock(undefined, path, 'write', holder)
    for (const mode of ['write', 'read'] as const) {
      storeErrorOf(() => takeLock(libc, path, mode, holder), 'STORE_LOCKED')
    }
    claim.release()
    takeLock(libc, path, 'write', holder).release()
  })

  test('who has no FFI is refused by the lock of one who has', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    const lock = takeLock(libc, path, 'write', holder)
    storeErrorOf(() => takeLock(undefined, path, 'write', holder), 'STORE_LOCKED')
    storeErrorOf(() => takeLock(undefined, path, 'read', holder), 'STORE_LOCKED')
    lock.release()
    takeLock(undefined, path, 'write', holder).release()
  })

  test('one holds it alone, whether it reads or writes', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    for (const mode of ['read', 'write'] as const) {
      const lock = takeLock(libc, path, mode, holder)
      storeErrorOf(() => takeLock(libc, path, 'read', holder), 'STORE_LOCKED')
      storeErrorOf(() => takeLock(libc, path, 'write', holder), 'STORE_LOCKED')
      lock.release()
    }
  })

  test('a lock file that was left behind means nothing', (t) => {
    const path = join(temporaryDirectory(t), 'lock')
    writeFileSync(path, JSON.stringify({ ...holder, processId: 1 }))
    takeLock(libc, path, 'write', holder).release()
  })
})
