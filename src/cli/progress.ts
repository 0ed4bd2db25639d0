/** A bar on the terminal for work that takes more than a second; nothing anywhere else. */
import { SingleBar } from 'cli-progress'

const quietMs = 1000
const drawMs = 100

export class Progress {
  readonly #total: number
  readonly #label: string
  readonly #isWanted: boolean
  /** When there is something to draw again. */
  #nextMs = performance.now() + quietMs
  #bar: SingleBar | undefined

  constructor(label: string, total: number, isWanted = true) {
    this.#label = label
    this.#total = total
    this.#isWanted = isWanted && process.stderr.isTTY
  }

  /** Works in a loop that never gives way to timers: an update draws by itself. */
  update(value: number): void {
    if (!this.#isWanted || performance.now() < this.#nextMs) return
    this.#nextMs = performance.now() + drawMs
    if (this.#bar === undefined) this.#start(value)
    else this.#bar.update(value)
  }

  [Symbol.dispose](): void {
    this.#bar?.stop()
  }

  #start(value: number): void {
    this.#bar = new SingleBar({
      stream: process.stderr,
      format: `${this.#label} [{bar}] {percentage}% | {value} of {total} | {eta_formatted} left`,
      barsize: 24,
      clearOnComplete: true,
      // No terminal setting is touched that Ctrl-C, which ends the process at once, would leave behind.
      linewrap: true,
    })
    this.#bar.start(this.#total, value)
  }
}

/** For work that tells how many bytes of how many it has done; the bar's total is 100. */
export function updateOf(
  progress: Progress,
): (done: { readonly bytes: number; readonly totalBytes: number }) => void {
  return ({ bytes, totalBytes }) =>
    progress.update(Math.floor((bytes / Math.max(1, totalBytes)) * 100))
}
