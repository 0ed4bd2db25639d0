/**
 * Goal: a writer that dies between any two instructions leaves a store that is whole (I1, I6, I7).
 * Method: before every single store that a change makes to shared memory, the files are copied as a
 *   kill would leave them, and opened: as a killed store on this boot, and as one of another boot,
 *   with the control file and without it.
 * Properties checked: the change is whole or absent; nothing waits for ever; the store can go on;
 *   the ordered index, where it is built, has the keys of the hash index; the log alone leads to the same; another boot finds a prefix, at least up to the last sync.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import {
  compactionWorkloads,
  operationWorkloads,
  orderedWorkloads,
  workloads,
} from './workloads.js'

const child = fileURLToPath(new URL('../../linked/test/kill/every-store-child.js', import.meta.url))
const silenceMsMax = 60_000

interface Outcome {
  readonly lines: readonly string[]
  readonly ended: boolean
  readonly errors: string
}

/** Runs the child to its end, or until nothing was heard of it for too long. */
function run(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const running = spawn(process.execPath, [child, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    let ended = true
    const giveUp = (): void => {
      ended = false
      running.kill('SIGKILL')
    }
    let timer = setTimeout(giveUp, silenceMsMax)
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      clearTimeout(timer)
      timer = setTimeout(giveUp, silenceMsMax)
    })
    running.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    running.on('close', () => {
      clearTimeout(timer)
      resolve({ lines: output.split('\n').filter((line) => line !== ''), ended, errors })
    })
  })
}

describe('a writer may die before any store to shared memory', () => {
  const all = [...workloads, ...orderedWorkloads, ...operationWorkloads, ...compactionWorkloads]
  for (const { name } of all) {
    test(`${name} is whole or absent wherever it was stopped`, async (t) => {
      const isOneOf = (list: readonly { readonly name: string }[]): boolean =>
        list.some((workload) => workload.name === name)
      // The operations are made of changes that the others stop at more places. An image of several
      // segments takes longer to look at, and copying makes few kinds of stores.
      const isCompaction = isOneOf(compactionWorkloads)
      const everyday = isCompaction ? 96 : isOneOf(operationWorkloads) ? 36 : 12
      const stride = isThorough ? (isCompaction ? 4 : 1) : everyday
      const outcome = await run([temporaryDirectory(t), name, String(stride), String(seed)])
      const last = outcome.lines[outcome.lines.length - 1]
      assert.ok(
        outcome.ended,
        `opening or reading never came back; last: ${last}, VARVE_SEED=${seed}`,
      )
      assert.deepEqual(
        outcome.lines.filter((line) => line.startsWith('problem')),
        [],
        `VARVE_SEED=${seed}`,
      )
      assert.match(last ?? outcome.errors, /^done [1-9]\d*$/, outcome.errors)
    })
  }
})
