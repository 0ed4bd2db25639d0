/** Backs a store up, or repairs it, and kills itself at its n-th write, rename or sync of a file. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [task, path, target, steps] = process.argv.slice(2)
let left = Number(steps)

const calls = fs as unknown as Record<string, (...args: unknown[]) => unknown>
for (const name of ['writeSync', 'renameSync', 'fdatasync', 'fsyncSync', 'unlinkSync']) {
  const original = calls[name]
  calls[name] = (...args) => {
    if (isArmed && --left === 0) process.kill(process.pid, 'SIGKILL')
    return original(...args)
  }
}
syncBuiltinESMExports()
let isArmed = false

if (task === 'repair') {
  const { salvage } = await import('../../src/repair/salvage.js')
  isArmed = true
  await salvage(path, target)
} else {
  const { open } = await import('../../src/store/index.js')
  const store = open(path, { readOnly: true, syncIntervalMs: 0 })
  isArmed = true
  await store.backup(target)
  isArmed = false
  await store.close()
}
