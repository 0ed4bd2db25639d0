// What the `Atomics` calls of the hot paths cost, one thread and memory that is in its cache.
const iterations = 20_000_000

/** Nanoseconds a call, the loop around it taken off. */
export function measureAtomics() {
  const words = new Int32Array(new ArrayBuffer(64))
  const empty = time(() => {
    for (let index = 0; index < iterations; index++) words[0] = index
  })
  const costs = {
    'Atomics.load': () => {
      for (let index = 0; index < iterations; index++) words[0] = Atomics.load(words, 1) + index
    },
    'Atomics.store': () => {
      for (let index = 0; index < iterations; index++) Atomics.store(words, 1, index)
    },
    'Atomics.add': () => {
      for (let index = 0; index < iterations; index++) Atomics.add(words, 1, index)
    },
    'Atomics.compareExchange': () => {
      for (let index = 0; index < iterations; index++) Atomics.compareExchange(words, 2, 0, 0)
    },
  }
  return Object.fromEntries(
    Object.entries(costs).map(([name, run]) => [name, Math.max(0, time(run) - empty)]),
  )
}

function time(run) {
  run()
  const startedAtMs = performance.now()
  run()
  return ((performance.now() - startedAtMs) * 1e6) / iterations
}
