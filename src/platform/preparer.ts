/**
 * A helper thread that gets blocks and pages ready ahead of the writer, so that the writing thread
 * meets neither a page fault nor a slow allocation.
 *
 * A thread and not asynchronous FFI calls: their completion needs a turn of the event loop, and a
 * loop of puts has none. It starts with the first job, keeps no process alive, and serves every
 * store of the thread that started it. Its work is a head start: what it did is looked at before it
 * is used, and what it failed to do is done, or reported, by the writer.
 *
 * It is given paths and addresses, never descriptors: a descriptor could be another file's by the
 * time the job runs. An address that is no longer mapped is refused by the kernel.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'

export type PreparerJob =
  | { readonly kind: 'populate'; readonly pointer: bigint; readonly sizeBytes: number }
  | { readonly kind: 'reserve'; readonly path: string; readonly sizeBytes: number }

export interface PreparerSetup {
  readonly signal: Int32Array
  readonly port: MessagePort
}

interface Preparer {
  readonly signal: Int32Array
  readonly port: MessagePort
}

let preparer: Preparer | undefined

export function prepare(job: PreparerJob): void {
  preparer ??= start()
  preparer.port.postMessage(job)
  Atomics.add(preparer.signal, 0, 1)
  Atomics.notify(preparer.signal, 0)
}

function start(): Preparer {
  const signal = new Int32Array(new SharedArrayBuffer(4))
  const { port1, port2 } = new MessageChannel()
  const setup: PreparerSetup = { signal, port: port2 }
  const worker = new Worker(new URL('./preparer-thread.js', import.meta.url), {
    name: 'varve-preparer',
    workerData: setup,
    transferList: [port2],
    execArgv: [],
  })
  // Where it cannot run, or dies, the writer meets its page faults itself.
  worker.on('error', () => port1.close())
  worker.unref()
  port1.unref()
  return { signal, port: port1 }
}
