/**
 * Makes every step of a writer call back: the beginnings and commits of control states, and every
 * call that changes files.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Control } from '../../src/control/control.js'

const changingCalls = [
  'openSync',
  'renameSync',
  'unlinkSync',
  'ftruncateSync',
  'fsyncSync',
  'fdatasyncSync',
  'mkdirSync',
  'writeSync',
  'closeSync',
  'fdatasync',
  'fsync',
  'unlink',
] as const

/** From now on, and for good, `onStep` runs before and after every step. */
export function trapSteps(onStep: () => void): void {
  for (const name of ['begin', 'beginInPlace', 'commit'] as const) {
    const original = Control.prototype[name]
    Control.prototype[name] = function around(this: Control): void {
      onStep()
      original.call(this)
      onStep()
    }
  }
  for (const name of changingCalls) {
    const original = fs[name] as (...args: unknown[]) => unknown
    const around = (...args: unknown[]): unknown => {
      // Opening to read changes nothing.
      if (name === 'openSync' && ((args[1] as number) & fs.constants.O_CREAT) === 0) {
        return original(...args)
      }
      onStep()
      const result = original(...args)
      onStep()
      return result
    }
    Object.assign(fs, { [name]: around })
  }
  syncBuiltinESMExports()
}
