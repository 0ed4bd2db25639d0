/**
 * Processes and threads that do what a test asks of them, one task at a time, and can be killed at
 * any moment. What they can do is in tasks.ts.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { atEnd, type Ending } from '../support/ending.js'
import type { TaskArgument, TaskName, TaskResult } from './tasks.js'

export type HostKind = 'process' | 'thread'

/** Longer than any wait that the store may make on a busy machine. */
const silenceMsMax = 60_000

export interface Request {
  readonly id: number
  readonly task: TaskName
  readonly argument: unknown
}

export interface Failure {
  readonly name: string
  readonly message: string
  readonly code: string | undefined
  readonly holder: { readonly processId: number; readonly threadId: number } | undefined
  readonly stack: string | undefined
}

export type Response =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: Failure }
  | { readonly ready: true }
  | { readonly told: unknown }

/** What a task threw in its host. */
export class RemoteError extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(`${failure.code ?? failure.name}: ${failure.message}`)
    this.failure = failure
    if (failure.stack !== undefined) this.stack = failure.stack
  }
}

/** The host was killed before it answered. */
export class HostGone extends Error {}

interface Call {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class Host {
  readonly kind: HostKind
  readonly ready: Promise<void>
  readonly exited: Promise<void>
  isGone = false
  /** What a task said before it ended. */
  onTold: (what: unknown) => void = () => undefined
  readonly #process: ChildProcess | undefined
  readonly #worker: Worker | undefined
  readonly #calls = new Map<number, Call>()
  #lastId = 0
  #errors = ''
  #isKilled = false

  constructor(kind: HostKind, execArgv: readonly string[] = []) {
    this.kind = kind
    let becomeReady: () => void = () => undefined
    let fail: (error: Error) => void = () => undefined
    this.ready = new Promise((resolve, reject) => {
      becomeReady = resolve
      fail = reject
    })
    const receive = (response: Response): void => {
      if ('ready' in response) becomeReady()
      else if ('told' in response) this.onTold(response.told)
      else this.#settle(response)
    }
    const child = new URL('../../linked/test/sharing/host-child.js', import.meta.url)
    const ended = (what: string): void => {
      this.isGone = true
      const error = new HostGone(`the ${kind} ended (${what}) ${this.#errors}`)
      fail(error)
      for (const { reject } of this.#calls.values()) reject(error)
      this.#calls.clear()
    }
    if (kind === 'process') {
      const running = fork(fileURLToPath(child), {
        stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
        execArgv: ['--enable-source-maps', ...execArgv],
      })
      this.#process = running
      running.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#errors += text
      })
      running.on('message', (message) => receive(message as Response))
      running.on('error', fail)
      this.exited = new Promise((resolve) => {
        running.once('close', (code, signal) => {
          ended(`${code ?? signal}`)
          resolve()
        })
      })
    } else {
      const worker = new Worker(child)
      this.#worker = worker
      worker.on('message', receive)
      worker.on('error', (error: Error) => {
        this.#errors += `${error.stack}`
        fail(error)
      })
      this.exited = new Promise((resolve) => {
        worker.once('exit', (code) => {
          ended(String(code))
          resolve()
        })
      })
    }
    // Who waits for it is told; who does not has killed it.
    this.ready.catch(() => undefined)
  }

  get processId(): number {
    return this.#process?.pid ?? process.pid
  }

  get threadId(): number {
    return this.#worker?.threadId ?? 0
  }

  /** Has the host do a task. Rejects with what it throws, or as {@link HostGone}, or if it hangs. */
  async call<N extends TaskName>(
    task: N,
    argument: TaskArgument<N>,
    msMax: number = silenceMsMax,
  ): Promise<TaskResult<N>> {
    await this.ready
    if (this.isGone) throw new HostGone(`the ${this.kind} is gone ${this.#errors}`)
    const id = ++this.#lastId
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }))
    const timer = setTimeout(() => {
      this.#calls.get(id)?.reject(new Error(`"${task}" in a ${this.kind} never came back`))
      this.#calls.delete(id)
      this.kill()
    }, msMax)
    const request: Request = { id, task, argument }
    if (this.#process) this.#process.send(request)
    else this.#worker?.postMessage(request)
    try {
      return (await answer) as TaskResult<N>
    } finally {
      clearTimeout(timer)
    }
  }

  /** SIGKILL, or `terminate()`: at any instruction. Resolves when nothing of it is left. */
  async kill(): Promise<void> {
    if (!this.#isKilled) {
      this.#isKilled = true
      if (this.#process) this.#process.kill('SIGKILL')
      else await this.#worker?.terminate()
    }
    await this.exited
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  #settle(
    response: Exclude<Response, { readonly ready: true } | { readonly told: unknown }>,
  ): void {
    const call = this.#calls.get(response.id)
    this.#calls.delete(response.id)
    if ('failure' in response) call?.reject(new RemoteError(response.failure))
    else call?.resolve(response.result)
  }
}

/** Hosts that wait for work: those that were not killed serve again. */
export class HostPool {
  readonly #idle: Record<HostKind, Host[]> = { process: [], thread: [] }
  readonly #all: Host[] = []

  take(kind: HostKind): Host {
    let host = this.#idle[kind].pop()
    while (host?.isGone) host = this.#idle[kind].pop()
    if (host !== undefined) return host
    host = new Host(kind)
    this.#all.push(host)
    return host
  }

  giveBack(host: Host): void {
    if (!host.isGone) this.#idle[host.kind].push(host)
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((host) => host.kill()))
  }
}

/** Hosts for a test, all gone when it ends. */
export function hostsFor(test: Ending): HostPool {
  const pool = new HostPool()
  atEnd(test, () => pool.close())
  return pool
}
