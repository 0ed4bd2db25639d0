/** The other end of hosts.ts: a process or thread that waits for tasks. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort } from 'node:worker_threads'
import { loadLibc } from '../../src/platform/libc.js'
import { prepare } from '../../src/platform/preparer.js'
import { StoreError } from '../../src/store/index.js'
import type { Failure, Request, Response } from './hosts.js'
import { runTask } from './tasks.js'

function send(response: Response): void {
  if (parentPort !== null) parentPort.postMessage(response)
  else process.send?.(response)
}

function failureOf(error: unknown): Failure {
  const { name, message, stack } = error as Error
  const { code, details } = error instanceof StoreError ? error : { code: undefined, details: {} }
  const { holder } = details
  const known = holder && { processId: holder.processId, threadId: holder.threadId }
  const cause = (error as Error).cause === undefined ? '' : `\ncause: ${shownCause(error as Error)}`
  return { name, message, code, holder: known, stack: `${stack}${cause}` }
}

function shownCause({ cause }: Error): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}

async function handle({ id, task, argument }: Request): Promise<void> {
  try {
    send({ id, result: await runTask(task, argument, (told) => send({ told })) })
  } catch (error) {
    send({ id, failure: failureOf(error) })
  }
}

/**
 * A native addon that is being loaded when its thread is terminated takes the whole process with
 * it. That is a test of its own; the other tests kill threads that have it loaded, in the helper
 * thread, too.
 */
async function warmUp(): Promise<void> {
  if (isMainThread || loadLibc() === undefined) return
  const directory = mkdtempSync(join(tmpdir(), 'varve-'))
  const path = join(directory, 'file')
  writeFileSync(path, '')
  prepare({ kind: 'reserve', path, sizeBytes: 4096 })
  while (statSync(path).blocks === 0) await delay(2)
  rmSync(directory, { recursive: true })
}

await warmUp()
if (parentPort !== null) {
  parentPort.on('message', handle)
} else {
  process.on('message', (message) => {
    void handle(message as Request)
  })
  // The test is over, or was itself killed.
  process.on('disconnect', () => process.exit(0))
}
send({ ready: true })
