/**
 * A helper thread that gets blocks and pages ready ahead of the writer, so that the writing thread
 * meets neither a page fault nor a slow allocation; and that counts and drops pages where a budget of memory
 * is to be kept.
 *
 * A thread and not asynchronous FFI calls: their completion needs a turn of the event loop, and a
 * loop of puts has none. It starts with the first job, keeps no process alive, and serves every
 * store of the thread that started it. Its work is a head start: what it did is looked at before it
 * is used, and what it failed to do is done, or reported, by the writer.
 *
 * A thread that is ended while it loads the foreign function interface aborts the whole process (an
 * addon cannot throw into a thread that is being ended). So whoever started one does not exit
 * before it has loaded, which takes some 30 ms from its start.
 *
 * It is given paths and addresses, never descriptors: a descriptor could be another file's by the
 * time the job runs. An address that is no longer mapped is refused by the kernel, and one that is another
 * mapping's by now is none the worse: no job takes anything from memory that it is given by address.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'

export type PreparerJob =
  | { readonly kind: 'populate'; readonly pointer: bigint; readonly sizeBytes: number }
  | { readonly kind: 'reserve'; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: 'drop'; readonly stretches: readonly FileStretch[] }
  | { readonly kind: 'count'; readonly table: Float64Array }

/** Of a file, whose pages are to leave the page cache where nobody has them mapped. */
export interface FileStretch {
  readonly path: string
  readonly position: number
  readonly sizeBytes: number
}

/** First numbers of the table of a `count`: how many stretches follow, and 1 when all of them are counted. */
export const tableLength = 0
export const tableIsCounted = 1
export const tableHeadSize = 2
/** Of each stretch: its address, its bytes, and how many of these are in memory. */
export const tableEntrySize = 3

/** A word of {@link PreparerSetup.signal}: how many jobs were posted. */
export const signalJobs = 0
/** A word of {@link PreparerSetup.signal}: 1 as soon as the thread may be ended. */
export const signalMayEnd = 1

export interface PreparerSetup {
  readonly signal: Int32Array
  readonly port: MessagePort
}

interface Preparer {
  readonly signal: Int32Array
  readonly port: MessagePort
}

/** A thread that could not even start never says that it may be ended. */
const longestLoadMs = 5000

let preparer: Preparer | undefined

export function prepare(job: PreparerJob): void {
  preparer ??= start()
  preparer.port.postMessage(job)
  Atomics.add(preparer.signal, signalJobs, 1)
  Atomics.notify(preparer.signal, signalJobs)
}

/** Starts the thread, and waits until it may be ended: for a thread that may be ended from then on itself. */
export function awaitPreparer(): void {
  preparer ??= start()
  Atomics.wait(preparer.signal, signalMayEnd, 0, longestLoadMs)
}

function start(): Preparer {
  const signal = new Int32Array(new SharedArrayBuffer(8))
  const { port1, port2 } = new MessageChannel()
  const setup: PreparerSetup = { signal, port: port2 }
  const worker = new Worker(new URL('./preparer-thread.js', import.meta.url), {
    name: 'varve-preparer',
    workerData: setup,
    transferList: [port2],
    execArgv: [],
  })
  // Where it cannot run, or dies, the writer meets its page faults itself.
  worker.on('error', () => {
    Atomics.store(signal, signalMayEnd, 1)
    port1.close()
  })
  worker.unref()
  port1.unref()
  process.once('exit', () => Atomics.wait(signal, signalMayEnd, 0, longestLoadMs))
  return { signal, port: port1 }
}
