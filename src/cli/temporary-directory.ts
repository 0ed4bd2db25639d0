/** A directory that is gone when the work in it is done, was cut short, or failed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const signals = ['SIGINT', 'SIGTERM'] as const

/** `use` must give way to the event loop now and then: until it does, Ctrl-C waits. */
export async function withTemporaryDirectory<T>(
  parent: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(parent, 'varve-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  const end = (signal: NodeJS.Signals): void => {
    remove()
    process.kill(process.pid, signal)
  }
  for (const signal of signals) process.once(signal, end)
  try {
    return await use(directory)
  } finally {
    for (const signal of signals) process.removeListener(signal, end)
    remove()
  }
}
