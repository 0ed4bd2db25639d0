/**
 * Steps that a process can be killed at: the beginnings and commits of control states, and every call that
 * changes files.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Control } from '../../src/control/control.js'

/** From here on the n-th step of this process is its last. */
export function killAtStep(lastStep: number): void {
  let step = 0
  const hit = (): void => {
    if (++step === lastStep) process.kill(process.pid, 'SIGKILL')
  }
  for (const name of ['begin', 'commit'] as const) {
    const original = Control.prototype[name]
    Control.prototype[name] = function around(this: Control): void {
      hit()
      original.call(this)
      hit()
    }
  }
  const calls = [
    'openSync',
    'renameSync',
    'unlinkSync',
    'ftruncateSync',
    'fsyncSync',
    'fdatasyncSync',
    'mkdirSync',
    'fdatasync',
    'fsync',
  ] as const
  for (const name of calls) {
    const original = fs[name] as (...args: unknown[]) => unknown
    const around = (...args: unknown[]): unknown => {
      // Opening to read changes nothing.
      if (name === 'openSync' && ((args[1] as number) & fs.constants.O_CREAT) === 0) {
        return original(...args)
      }
      hit()
      const result = original(...args)
      hit()
      return result
    }
    Object.assign(fs, { [name]: around })
  }
  const { writeSync } = fs
  const tear = (fd: number, bytes: Uint8Array, from: number, size: number, at: number): number => {
    hit()
    // A write that a kill cuts short.
    if (step + 1 === lastStep) writeSync(fd, bytes, from, (size * lastStep * 37) % size, at)
    hit()
    return writeSync(fd, bytes, from, size, at)
  }
  Object.assign(fs, {
    writeSync: (fd: number, data: Uint8Array | string, from: number, size: number, at: number) =>
      typeof data === 'string' ? writeSync(fd, data) : tear(fd, data, from ?? 0, size, at),
  })
  syncBuiltinESMExports()
}
