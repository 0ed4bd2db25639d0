/** Driving `session-child`: in this world, in a mount namespace of its own, or by another Node. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { StoreOptions } from '../../src/store/index.js'
import { atEnd, type Ending } from '../support/ending.js'
import type { Answer, Step } from './session-child.js'

const child = fileURLToPath(new URL('../../linked/test/sharing/session-child.js', import.meta.url))

export class Session {
  readonly process: ChildProcess
  readonly #answers: AsyncIterator<string>

  constructor(command: string, args: readonly string[], identity: Identity = {}) {
    const running = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...identity })
    this.process = running
    this.#answers = createInterface({ input: running.stdout })[Symbol.asyncIterator]()
  }

  /** The answer to a step, whatever it is. */
  async try(step: Step): Promise<Answer> {
    this.process.stdin?.write(`${JSON.stringify(step)}\n`)
    const { done, value } = await this.#answers.next()
    assert.notEqual(done, true, `the process ended in step "${step.do}"`)
    return JSON.parse(value) as Answer
  }

  /** The answer to a step that must succeed. */
  async do(step: Step): Promise<Answer> {
    const answer = await this.try(step)
    assert.equal(answer.message, undefined)
    return answer
  }

  async get(key: string, keyspace?: string): Promise<unknown> {
    const step: Step = { do: 'get', key }
    return (await this.do(keyspace === undefined ? step : { ...step, keyspace })).value
  }

  /** Told to do what it does not survive. */
  async dieIn(step: Step): Promise<void> {
    const closed = once(this.process, 'close')
    this.process.stdin?.write(`${JSON.stringify(step)}\n`)
    assert.deepEqual(await closed, [null, 'SIGKILL'])
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const closed = once(this.process, 'close')
    this.process.kill('SIGKILL')
    await closed
  }
}

/** Whose rights a process has; the ones of this process by default. */
export interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** A process that has the store open. */
export async function openSession(
  test: Ending,
  path: string,
  options: StoreOptions,
  node: string = process.execPath,
  identity: Identity = {},
): Promise<Session> {
  const session = new Session(node, [child], identity)
  atEnd(test, () => session.kill())
  await session.do({ do: 'open', path, options })
  return session
}

/** A process that sees the store's directory as a read-only mount, and has it open to be read. */
export async function openOnReadOnlyMount(
  test: Ending,
  path: string,
  options: StoreOptions = {},
): Promise<Session> {
  const mount = `mount --bind '${path}' '${path}'; mount -o remount,ro,bind '${path}'`
  const script = `set -e; ${mount}; exec "$0" "$1"`
  const session = new Session('unshare', ['-m', 'sh', '-c', script, process.execPath, child])
  atEnd(test, () => session.kill())
  await session.do({ do: 'open', path, options: { ...options, readOnly: true } })
  return session
}
