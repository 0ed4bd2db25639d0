/**
 * Which sync a caller waits for. A call while a flush is in flight waits for the next one, together
 * with all others that come meanwhile: their writes may not be in the one that is under way.
 */
export class SyncQueue {
  #running: Promise<void> | undefined
  #waiting: Promise<void> | undefined
  /** The timer of the background sync. */
  timer: NodeJS.Timeout | undefined
  /** The first failure of a write or a sync: the cause of the poison. */
  failure: unknown
  /** Completed flushes. */
  completedCount = 0

  run(flush: () => Promise<void>): Promise<void> {
    if (this.#running === undefined) {
      this.#running = flush().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    this.#waiting ??= this.#afterRunning(flush)
    return this.#waiting
  }

  async #afterRunning(flush: () => Promise<void>): Promise<void> {
    // Its failure belongs to those who waited for it; the next flush finds the store poisoned.
    await Promise.allSettled([this.#running])
    this.#waiting = undefined
    return this.run(flush)
  }
}
