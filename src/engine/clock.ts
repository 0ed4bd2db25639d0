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

  constructor(readMs: () => number) {
    this.#readMs = readMs
    this.#expire = () => {
      this.#writesLeft = 0
      this.#willExpire = false
    }
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
