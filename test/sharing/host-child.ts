/** The other end of hosts.ts: a process or thread that waits for tasks. */
import { parentPort } from 'node:worker_threads'
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
  return { name, message, code, holder: known, stack }
}

async function handle({ id, task, argument }: Request): Promise<void> {
  try {
    send({ id, result: await runTask(task, argument, (told) => send({ told })) })
  } catch (error) {
    send({ id, failure: failureOf(error) })
  }
}

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
