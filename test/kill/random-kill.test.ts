/**
 * Goal: a killed process loses nothing that was acknowledged, and leaves nothing half done.
 * Method: a process writes at random and acknowledges every change; it is killed at a random
 *   moment, 130 times in all (10,010 in a thorough run), each time in the same directory as the last; several
 *   kinds of store.
 * Properties checked: all acknowledged changes are there, the one in flight is whole or absent,
 *   nothing else is there; the same in a copy of the directory, which is a store of another boot.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { copyStore, removeDirectory, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import type { WriterSetup } from './writer.js'

const writer = fileURLToPath(new URL('../../linked/test/kill/writer.js', import.meta.url))
const silenceMsMax = 60_000

interface End {
  readonly output: string
  readonly errors: string
  readonly signal: NodeJS.Signals | null
  readonly code: number | null
  readonly hung: boolean
}

/** Runs a writer and kills it `lifeMs` after it is ready, or after its start if that is asked for. */
function runWriter(
  directory: string,
  setup: WriterSetup,
  kill: { readonly afterMs: number; readonly fromStart: boolean } | undefined,
): Promise<End> {
  return new Promise((resolve) => {
    const args = [writer, join(directory, 'store'), join(directory, 'acks'), JSON.stringify(setup)]
    const running = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    let hung = false
    const watchdog = setTimeout(() => {
      hung = true
      running.kill('SIGKILL')
    }, silenceMsMax)
    const killLater = (): void => {
      if (kill !== undefined) setTimeout(() => running.kill('SIGKILL'), kill.afterMs)
    }
    if (kill?.fromStart) killLater()
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '' && !kill?.fromStart) killLater()
      output += text
    })
    running.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    running.on('close', (code, signal) => {
      clearTimeout(watchdog)
      resolve({ output, errors, signal, code, hung })
    })
  })
}

function check(end: End, what: string): void {
  assert.ok(!end.hung, `${what}: the writer came to no end`)
  assert.equal(end.errors, '', what)
  assert.ok(end.code === 0 || end.signal === 'SIGKILL', `${what}: exit code ${end.code}`)
}

interface Kind {
  readonly name: string
  readonly kills: number
  readonly keyCount: number
  readonly store: WriterSetup['store']
  readonly hugeBatches?: boolean
}

const mebibyte = 2 ** 20
const kinds: readonly Kind[] = [
  {
    name: 'segments of 1 MiB, many keys: rolls, splits and overflow buckets',
    kills: 40,
    keyCount: 6000,
    store: { segmentSizeBytes: mebibyte, syncIntervalMs: 5 },
  },
  {
    name: 'few keys: updates in place and deletes',
    kills: 35,
    keyCount: 40,
    store: { segmentSizeBytes: mebibyte, syncIntervalMs: 0 },
  },
  {
    name: 'segments of 64 MiB',
    kills: 15,
    keyCount: 3000,
    store: { segmentSizeBytes: 64 * mebibyte, syncIntervalMs: 1 },
  },
  {
    name: 'without a mapping',
    kills: 20,
    keyCount: 500,
    store: { segmentSizeBytes: mebibyte, syncIntervalMs: 5, mapping: 'file' },
  },
  {
    name: 'batches larger than a segment',
    kills: 20,
    keyCount: 60,
    store: { segmentSizeBytes: mebibyte, syncIntervalMs: 5 },
    hugeBatches: true,
  },
]

async function killAgainAndAgain(kind: Kind, directory: string): Promise<void> {
  const { keyCount, store, hugeBatches = false } = kind
  const segmentSizeBytes = store.segmentSizeBytes ?? 64 * mebibyte
  const history = { seed, keyCount, segmentSizeBytes, hugeBatches }
  const setup = { history, store, checkOnly: false }
  const random = new Random(seed)
  for (let kill = 0; kill < kind.kills; kill++) {
    // One in ten is killed while it starts, opens, recovers or checks.
    const fromStart = random.chance(0.1)
    const afterMs = fromStart ? 30 + random.below(80) : random.below(45)
    const end = await runWriter(directory, setup, { afterMs, fromStart })
    check(end, `VARVE_SEED=${seed}, kill ${kill}`)
  }
  const last = await runWriter(directory, { ...setup, checkOnly: true }, undefined)
  check(last, `VARVE_SEED=${seed}, after the last kill`)
  assert.match(last.output, /^\S+ [1-9]\d*\n$/, 'changes were acknowledged')
  copyStore(join(directory, 'store'), join(directory, 'copy'))
  removeDirectory(join(directory, 'store'))
  copyStore(join(directory, 'copy'), join(directory, 'store'))
  const copied = await runWriter(directory, { ...setup, checkOnly: true }, undefined)
  check(copied, `VARVE_SEED=${seed}, a copy of the directory`)
  assert.match(copied.output, /^replay /)
  assert.ok(!existsSync(join(directory, 'store', 'manifest.next')))
}

describe('a process killed at random loses nothing that was acknowledged', () => {
  for (const kind of kinds) {
    const kills = isThorough ? kind.kills * 77 : kind.kills
    test(`${kind.name}, ${kills} kills`, (t) => {
      return killAgainAndAgain({ ...kind, kills }, temporaryDirectory(t))
    })
  }
})
