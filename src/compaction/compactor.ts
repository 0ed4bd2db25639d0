/**
 * The thread that compacts in the background for one attachment. It has the store open as any other thread
 * would, looks by itself whether there is something to do, and ends after a while without.
 *
 * It keeps no process alive and may die anywhere: what it announced, another one finishes. Where it never
 * came to have the store open, there is no use in another try: whoever started it compacts by itself.
 *
 * A thread that is ended while it loads the foreign function interface aborts the whole process: see
 * platform/preparer.ts. So whoever started one does not exit before it has loaded.
 */
import { Worker } from 'node:worker_threads'
import { StoreError, type StoreErrorCode } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import type { MemoryHandle } from '../platform/platform.js'
import type { CompactionEvent, CompactionReport } from './run.js'

export interface CompactorListener {
  readonly onProgress: (event: CompactionEvent) => void
  readonly onRun: (report: CompactionReport, damaged: ReadonlySet<number>) => void
  readonly onFailure: (error: unknown, damaged: ReadonlySet<number>) => void
  /** It could not be started. */
  readonly onRefusal: () => void
}

/** What the thread is given. */
export interface CompactorSetup {
  readonly directory: string
  readonly memory: MemoryHandle | undefined
  readonly syncIntervalMs: number
  readonly lockTimeoutMs: number
  readonly memoryBudgetBytes: number | undefined
  /** So long without a run, and it ends. */
  readonly idleMsMax: number
  /** A word: 1 while it is paused. */
  readonly pause: Int32Array
  /** A word: 1 as soon as the thread may be ended. */
  readonly mayEnd: Int32Array
}

/** What the thread tells. Whatever it is told means that it is to end. */
export type CompactorMessage =
  | { readonly kind: 'open' }
  | { readonly kind: 'progress'; readonly event: CompactionEvent }
  | {
      readonly kind: 'run'
      readonly report: CompactionReport
      readonly damaged: ReadonlySet<number>
    }
  | {
      readonly kind: 'failure'
      readonly failure: PostedError
      readonly damaged: ReadonlySet<number>
    }

/** An error as plain data: a clone of one is without its class and its code. */
export interface PostedError {
  readonly isStoreError: boolean
  readonly code: string | undefined
  readonly message: string
  readonly details: StoreError['details'] | undefined
  readonly cause: unknown
}

const longestLoadMs = 5000
const nothingDamaged: ReadonlySet<number> = new Set()

/** Of threads that were started and may not have loaded yet. */
const loading = new Set<Int32Array>()

export class Compactor {
  readonly #engine: Engine
  readonly #pause: Int32Array
  readonly #listener: CompactorListener
  #ended: Promise<void> | undefined
  #isStopped = false

  constructor(engine: Engine, pause: Int32Array, listener: CompactorListener) {
    this.#engine = engine
    this.#pause = pause
    this.#listener = listener
  }

  get isAtWork(): boolean {
    return this.#ended !== undefined
  }

  start(): void {
    if (this.#isStopped || this.isAtWork) return
    const { directory, lockTimeoutMs, memoryBudgetBytes, platform, syncIntervalMs } = this.#engine
    const mayEnd = new Int32Array(new SharedArrayBuffer(4))
    const setup: CompactorSetup = {
      directory,
      memory: platform.memoryHandle === undefined ? undefined : { ...platform.memoryHandle },
      syncIntervalMs,
      lockTimeoutMs,
      memoryBudgetBytes,
      idleMsMax: this.#engine.compacted.idleMsMax,
      pause: this.#pause,
      mayEnd,
    }
    let worker: Worker
    try {
      worker = new Worker(new URL('./compactor-thread.js', import.meta.url), {
        name: 'varve-compactor',
        workerData: setup,
        execArgv: [],
      })
    } catch {
      // It is told by nobody: the work is done all the same.
      this.#listener.onRefusal()
      return
    }
    awaitAtExit(mayEnd)
    this.#engine.compacted.thread = worker
    this.#ended = this.#follow(worker, mayEnd)
    worker.unref()
  }

  /** Resolves when it has closed the store, and never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true
    const { thread } = this.#engine.compacted
    thread?.ref()
    thread?.postMessage('end')
    await this.#ended
  }

  #follow(worker: Worker, mayEnd: Int32Array): Promise<void> {
    let isOpen = false
    let failure: unknown
    worker.on('message', (message: CompactorMessage) => {
      if (message.kind === 'open') isOpen = true
      else if (!this.#engine.isMapped) return
      else if (message.kind === 'progress') this.#listener.onProgress(message.event)
      else if (message.kind === 'run') this.#listener.onRun(message.report, message.damaged)
      else this.#listener.onFailure(revive(message.failure), message.damaged)
    })
    worker.on('error', (error) => {
      failure = error
    })
    return new Promise((resolve) => {
      worker.once('exit', (exitCode) => {
        loading.delete(mayEnd)
        this.#engine.compacted.thread = undefined
        this.#ended = undefined
        if (!this.#isStopped && exitCode !== 0) {
          if (!isOpen) this.#listener.onRefusal()
          else this.#listener.onFailure(failure ?? hasEnded(exitCode), nothingDamaged)
        }
        resolve()
      })
    })
  }
}

function hasEnded(exitCode: number): Error {
  return new Error(`the thread that compacts the store ended with ${exitCode}`)
}

let isAwaiting = false

function awaitAtExit(mayEnd: Int32Array): void {
  loading.add(mayEnd)
  if (isAwaiting) return
  isAwaiting = true
  process.once('exit', () => {
    for (const word of loading) Atomics.wait(word, 0, 0, longestLoadMs)
  })
}

export function toPosted(error: unknown): PostedError {
  const isStoreError = error instanceof StoreError
  const { code, cause, message } = (error ?? {}) as {
    code?: unknown
    cause?: unknown
    message?: unknown
  }
  return {
    isStoreError,
    code: typeof code === 'string' ? code : undefined,
    message: typeof message === 'string' ? message : String(error),
    details: isStoreError ? error.details : undefined,
    cause: cause instanceof Error ? toPosted(cause) : undefined,
  }
}

function revive({ isStoreError, code, message, details, cause }: PostedError): Error {
  const options = cause === undefined ? {} : { cause: revive(cause as PostedError) }
  if (!isStoreError) {
    return Object.assign(new Error(message, options), code === undefined ? {} : { code })
  }
  const more = details === undefined ? options : { ...options, details }
  return new StoreError(code as StoreErrorCode, message, more)
}
