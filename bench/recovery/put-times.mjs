import { closeSync, openSync, readSync } from 'node:fs'

/**
 * How long puts take, and how long without the time in which the thread was ready and had no processor: on a
 * machine with other work that is most of what the longest ones take, and nothing that a store could change.
 */
export class PutTimes {
  #putNs = []
  #ownNs = []
  #waitedNs = 0
  // Linux only; elsewhere nobody says it.
  #schedule = process.platform === 'linux' ? openSync('/proc/thread-self/schedstat') : undefined
  #text = Buffer.alloc(64)

  /** Of this thread since it began, in nanoseconds. */
  #waited() {
    if (this.#schedule === undefined) return 0
    const size = readSync(this.#schedule, this.#text, 0, 64, 0)
    return Number(this.#text.toString('latin1', 0, size).split(' ')[1])
  }

  beginTurn() {
    this.#waitedNs = this.#waited()
  }

  measure(put) {
    const startNs = process.hrtime.bigint()
    put()
    const putNs = Number(process.hrtime.bigint() - startNs)
    this.#putNs.push(putNs)
    if (putNs < 200_000) {
      this.#ownNs.push(putNs)
      return
    }
    const waitedNs = this.#waited()
    this.#ownNs.push(Math.max(0, putNs - (waitedNs - this.#waitedNs)))
    this.#waitedNs = waitedNs
  }

  spread() {
    if (this.#schedule !== undefined) closeSync(this.#schedule)
    return { putNs: spread(this.#putNs), ownNs: spread(this.#ownNs) }
  }
}

/** Enough of many durations to tell their quantiles. */
function spread(durations) {
  const sorted = durations.sort((a, b) => a - b)
  const kept = 10_000
  if (sorted.length <= kept) return sorted
  return Array.from(
    { length: kept },
    (_, index) => sorted[Math.round((index * (sorted.length - 1)) / (kept - 1))],
  )
}
