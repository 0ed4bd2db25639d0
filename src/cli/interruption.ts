/** Work that goes on until somebody ends it: Ctrl-C or a polite kill is its proper end. */

const signals = ['SIGINT', 'SIGTERM'] as const

/** Runs `work` with a signal that is aborted by the first of {@link signals}. */
export async function untilInterrupted<T>(work: (end: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const end = (): void => controller.abort()
  for (const signal of signals) process.on(signal, end)
  try {
    return await work(controller.signal)
  } finally {
    // From here on a second Ctrl-C ends the process at once, whatever it is closing.
    for (const signal of signals) process.removeListener(signal, end)
  }
}
