/** Long work beside others: in slices of a few milliseconds, and no faster than it may be. */

const sliceMsMax = 3

export interface Pace {
  /** Bytes done so far. */
  readonly bytes: () => number
  readonly maxBytesPerSecond: number
  /** Called between slices, with the event loop turned meanwhile. */
  readonly betweenSlices: () => void
}

/** Runs `steps` to its end. Each step is to take less than a slice. */
export async function inSlices<T>(steps: Generator<void, T>, pace: Pace): Promise<T> {
  const startedAtMs = performance.now()
  const startBytes = pace.bytes()
  let sliceEndMs = startedAtMs + sliceMsMax
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    const nowMs = performance.now()
    const dueMs = startedAtMs + ((pace.bytes() - startBytes) / pace.maxBytesPerSecond) * 1000
    if (nowMs < sliceEndMs && dueMs <= nowMs) continue
    if (dueMs > nowMs) await new Promise((resolve) => setTimeout(resolve, dueMs - nowMs))
    else await new Promise(setImmediate)
    pace.betweenSlices()
    sliceEndMs = performance.now() + sliceMsMax
  }
}
