/**
 * Goal: stats --watch shows who has a store open and how fast it changes, and ends when it is told to.
 * Method: this thread writes, the command watches from a process of its own; its ticks are read one
 *   by one, and it is ended by its count, by a signal, or by a reader that has seen enough.
 * Properties checked: who is attached; numbers and rates; one JSON object a line, plain blocks, a
 *   screen that is drawn over; exit code 0; the command is attached no more when it has ended.
 */
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { threadId } from 'node:worker_threads'
import type { Attachment, StoreStats } from '../../src/store/index.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { mainPath, varve } from './command.js'

const segmentSizeBytes = 2 ** 20
const nodeVersion = Number(process.versions.node.split('.')[0])

interface Tick {
  readonly atMs: number
  readonly attachments: readonly Attachment[]
  readonly writesPerSecond: number | null
  readonly syncedBytesPerSecond: number | null
  readonly stats: StoreStats
}

type Watcher = ChildProcessByStdio<null, Readable, null>

function watch(path: string, ...options: string[]): Watcher {
  const args = [mainPath, 'stats', path, '--watch', ...options]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function* ticksOf(watcher: Watcher): AsyncGenerator<Tick> {
  for await (const line of createInterface({ input: watcher.stdout })) yield JSON.parse(line)
}

describe('stats --watch', () => {
  test('tells who has the store open, and the rate of writes', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open(path, { segmentSizeBytes })
    store.put('key', 'value')
    const watcher = watch(path, '--json', '--interval', '0.05')
    const closed = once(watcher, 'close')
    let looks = 0
    let highestRate = 0
    for await (const tick of ticksOf(watcher)) {
      if (looks++ === 0) {
        assert.equal(tick.writesPerSecond, null, 'there was no look before')
        assert.equal(tick.syncedBytesPerSecond, null)
        assert.equal(tick.stats.attachments, 2)
        const [own, command] = tick.attachments
        assert.deepEqual(
          { ...own, sinceMs: 0 },
          { processId: process.pid, threadId, sinceMs: 0, isReadOnly: false, nodeVersion },
        )
        assert.deepEqual(
          { ...command, sinceMs: 0 },
          { processId: watcher.pid, threadId: 0, sinceMs: 0, isReadOnly: true, nodeVersion },
        )
        for (let number = 0; number < 100; number++) store.put(`key ${number}`, number)
        await store.sync()
        continue
      }
      highestRate = Math.max(highestRate, tick.writesPerSecond ?? 0)
      if (tick.stats.records < 101) continue
      assert.equal(tick.stats.records, 101)
      assert.ok(highestRate > 0, 'writes were seen')
      assert.ok(Number.isInteger(tick.syncedBytesPerSecond))
      break
    }
    watcher.kill('SIGTERM')
    assert.deepEqual(await closed, [0, null])
  })

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`ends with exit code 0 on ${signal}, and is attached no more`, async (t) => {
      const path = temporaryDirectory(t)
      await using store = open(path, { segmentSizeBytes })
      const watcher = watch(path, '--interval', '3600')
      const closed = once(watcher, 'close')
      await once(watcher.stdout, 'data')
      assert.equal(store.attachments().length, 2)
      watcher.kill(signal)
      assert.deepEqual(await closed, [0, null])
      assert.equal(store.attachments().length, 1)
      assert.equal(store.put('key', 'value'), true)
    })
  }

  test('ends with exit code 0 when its reader has seen enough', async (t) => {
    const path = temporaryDirectory(t)
    await open(path, { segmentSizeBytes }).close()
    const watcher = watch(path, '--json', '--interval', '0.01')
    const closed = once(watcher, 'close')
    await once(watcher.stdout, 'data')
    watcher.stdout.destroy()
    assert.deepEqual(await closed, [0, null])
  })

  test('prints blocks of plain lines where there is no terminal, as many as asked for', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open(path, { segmentSizeBytes })
    for (let number = 0; number < 1234; number++) store.put(`key ${number}`, number)
    const args = ['stats', path, '--watch', '--count', '2', '--interval', '0.01']
    const { exitCode, stderr, stdout } = varve(args)
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    const blocks = stdout.split(`\n\n${path}  `)
    assert.equal(blocks.length, 2)
    for (const block of blocks) {
      assert.match(block, /^records +1,234$/m)
      assert.match(
        block,
        new RegExp(`^${process.pid} +${threadId} +${nodeVersion} .*read-write$`, 'm'),
      )
      assert.match(block, /^\d+ \(this one\) +0 .*read-only$/m)
      assert.doesNotMatch(block, /\p{Cc}(?<!\n)/u)
      assert.doesNotMatch(block, / $/m)
    }
    assert.doesNotMatch(blocks[0], /\/s$/m)
    assert.match(blocks[1], /^writes +[\d,]+ +0\/s$/m)
  })

  test('draws over what it drew on a terminal', {
    skip: spawnSync('script', ['--version']).status === 0 ? false : 'no terminal can be had here',
  }, async (t) => {
    const path = temporaryDirectory(t)
    await open(path, { segmentSizeBytes }).close()
    const command = [process.execPath, mainPath, 'stats', path, '--watch', '--count', '2']
    const line = [...command, '--interval', '0.01'].map((word) => `'${word}'`).join(' ')
    const { status, stdout } = spawnSync('script', ['-qec', line, '/dev/null'], {
      encoding: 'utf8',
    })
    assert.equal(status, 0)
    assert.equal(stdout.split('\u001b[2J').length, 2, 'erased once')
    const frames = stdout.split('\u001b[H').slice(1)
    assert.equal(frames.length, 2)
    for (const frame of frames) assert.match(frame, /this one/)
  })

  test('of a store that nobody has open shows the command itself', async (t) => {
    const path = temporaryDirectory(t)
    await open(path, { segmentSizeBytes }).close()
    const tick: Tick = JSON.parse(
      varve(['stats', path, '--watch', '--json', '--count', '1']).stdout,
    )
    assert.equal(tick.attachments.length, 1)
    assert.equal(tick.attachments[0].isReadOnly, true)
  })

  const misuses = [
    [['--interval', '1'], /--interval has no meaning/],
    [['--count', '1'], /--count has no meaning/],
    [['--watch', '--count', '0'], /--count must be 1 or more/],
    [['--watch', '--interval', '0'], /from 0\.01 to 86400/],
    [['--watch', '--interval', '1e3'], /from 0\.01 to 86400/],
  ] as const
  for (const [options, message] of misuses) {
    test(`refuses ${options.join(' ')}`, (t) => {
      const { exitCode, stderr, stdout } = varve(['stats', temporaryDirectory(t), ...options])
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
      assert.equal(stdout, '')
    })
  }
})
