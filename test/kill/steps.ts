/** Steps that a process can be killed at: those of step-trap.ts, and the middle of every write. */
import fs from 'node:fs'
import { trapSteps } from '../support/step-trap.js'

/** From here on the n-th step of this process is its last. */
export function killAtStep(lastStep: number): void {
  let step = 0
  const hit = (): void => {
    if (++step === lastStep) process.kill(process.pid, 'SIGKILL')
  }
  const { writeSync } = fs
  const tear = (fd: number, bytes: Uint8Array, from: number, size: number, at: number): number => {
    // A write that a kill cuts short.
    if (step + 1 === lastStep) writeSync(fd, bytes, from, (size * lastStep * 37) % size, at)
    hit()
    return writeSync(fd, bytes, from, size, at)
  }
  Object.assign(fs, {
    writeSync: (fd: number, data: Uint8Array | string, from: number, size: number, at: number) =>
      typeof data === 'string' ? writeSync(fd, data) : tear(fd, data, from ?? 0, size, at),
  })
  trapSteps(hit)
}
