/** Failures on demand: the n-th call of a kind, once or from then on. */
import { shown } from '../base/shown.js'

/**
 * What a process asks of a disk. `directory`: making, renaming and removing a name; `reserve`: blocks
 * for a file; `sync`: of a file; `syncDirectory`: of the names in one.
 */
export type DiskCall =
  | 'open'
  | 'read'
  | 'write'
  | 'reserve'
  | 'map'
  | 'sync'
  | 'directory'
  | 'syncDirectory'
  | 'list'

export const diskCalls: readonly DiskCall[] = [
  'open',
  'read',
  'write',
  'reserve',
  'map',
  'sync',
  'directory',
  'syncDirectory',
  'list',
]

export interface Fault {
  readonly call: DiskCall
  /** Which call of the kind fails, counted from when the fault was set: 1 for the next one. */
  readonly at: number
  /** Every later one fails, too, until the faults are cleared. */
  readonly isLasting?: boolean
  /** Default `EIO`. */
  readonly code?: string
  /** Of a write: bytes that arrive before it fails. Default 0. */
  readonly arrivingBytes?: number
}

/** An error as the system reports it. */
export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: simulated failure, ${what}`), { code })
}

interface ActiveFault {
  readonly fault: Fault
  remaining: number
}

export class Faults {
  #active: ActiveFault[] = []
  /** With which code a call failed last. */
  lastCode: string | undefined
  readonly #counts = new Map<DiskCall, number>()

  /** Calls of a kind that were made so far. */
  count(call: DiskCall): number {
    return this.#counts.get(call) ?? 0
  }

  set(fault: Fault): void {
    if (!diskCalls.includes(fault.call)) {
      const accepted = diskCalls.map(shown).join(', ')
      throw new TypeError(`call of a fault is ${shown(fault.call)}; accepted: ${accepted}`)
    }
    if (!(Number.isInteger(fault.at) && fault.at >= 1)) {
      throw new RangeError(`at of a fault is ${shown(fault.at)}; accepted: a whole number from 1`)
    }
    this.#active.push({ fault, remaining: fault.at })
  }

  clear(): void {
    this.#active = []
  }

  /** Counts a call; the fault that it meets, if it meets one. */
  meet(call: DiskCall): Fault | undefined {
    this.#counts.set(call, this.count(call) + 1)
    let met: Fault | undefined
    for (const active of this.#active) {
      if (active.fault.call !== call) continue
      active.remaining--
      const isMet = active.fault.isLasting === true ? active.remaining <= 0 : active.remaining === 0
      if (isMet) met ??= active.fault
    }
    if (met !== undefined) this.lastCode = met.code ?? 'EIO'
    return met
  }
}
