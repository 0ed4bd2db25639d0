/**
 * The wall clock of writes. Asking the system costs 55 ns, a tenth of a put, so writes in one turn
 * of the event loop share an answer, up to 32 of them.
 */
const writesPerReading = 32

export class Clock {
  readonly #readMs: () => number
  readonly #expire: () => void
  #nowMs = 0
  #writesLeft = 0
  #willExpire = false
  // A time that was seen, and when that was, by the monotonic clock.
  #behindMs = 0
  #behindSinceMs = 0

  constructor(readMs: () => number) {
    this.#readMs = readMs
    this.#expire = () => {
      this.#writesLeft = 0
      this.#willExpire = false
    }
  }

  /**
   * The time where the wall clock lies before what was seen: it goes on from there as this process
   * runs.
   */
  behind(seenMs: number): number {
    const atMs = performance.now()
    const runMs = this.#behindMs + Math.floor(atMs - this.#behindSinceMs)
    if (runMs >= seenMs) return runMs
    this.#behindMs = seenMs
    this.#behindSinceMs = atMs
    return seenMs
  }

  nowMs(): number {
    if (this.#writesLeft-- <= 0) this.#read()
    return this.#nowMs
  }

  #read(): void {
    this.#nowMs = this.#readMs()
    this.#writesLeft = writesPerReading - 1
    if (this.#willExpire) return
    this.#willExpire = true
    queueMicrotask(this.#expire)
  }
}
