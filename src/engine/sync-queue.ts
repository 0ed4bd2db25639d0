/**
 * Which flush a caller waits for: one that begins now where none is under way, else the next one. The one
 * that is under way may not have the caller's writes.
 *
 * Invariant: at most one flush is under way and one to come. Where several waited, the next one begins when
 * all of them have gone on, so that what they write and sync at once is in it too: 64 tasks that await
 * each put share every flush, and not every second one. One that is alone never waits for that.
 */
export class SyncQueue {
  /** Resolves when the next flush may begin; undefined where one may begin now. */
  #over: Promise<void> | undefined
  #next: Promise<void> | undefined
  #nextCallers = 0
  #isNextForced = false
  /** The timer of the background sync. */
  timer: NodeJS.Timeout | undefined
  /** The first failure of a write or a sync: the cause of the poison. */
  failure: unknown
  /** Completed flushes. */
  completedCount = 0

  /** `isForced`: also where nothing was written since the last flush. */
  run(flush: (isForced: boolean) => Promise<void>, isForced: boolean): Promise<void> {
    if (this.#over === undefined) return this.#begin(flush(isForced), 1)
    this.#nextCallers++
    this.#isNextForced ||= isForced
    this.#next ??= this.#over.then(() => {
      const callers = this.#nextCallers
      const isNextForced = this.#isNextForced
      this.#next = undefined
      this.#nextCallers = 0
      this.#isNextForced = false
      return this.#begin(flush(isNextForced), callers)
    })
    return this.#next
  }

  #begin(flushing: Promise<void>, callers: number): Promise<void> {
    let isOver = false
    const flushed = flushing.finally(() => {
      isOver = callers === 1 && this.#next === undefined
      if (isOver) this.#over = undefined
    })
    // A failure belongs to those who waited for it; the next flush finds the store poisoned.
    this.#over = Promise.allSettled([flushed]).then(() => (isOver ? undefined : this.#letGoOn()))
    return flushed
  }

  async #letGoOn(): Promise<void> {
    // Behind all promises that are ready.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (this.#next === undefined) this.#over = undefined
  }
}
