/**
 * Ranks by Zipf's law, the most frequent first (J. Gray et al., "Quickly generating billion-record synthetic
 * databases", 1994).
 *
 * @param {number} count of ranks
 * @param {() => number} random numbers in [0, 1)
 * @param {number} theta the exponent, below 1
 * @returns {() => number} whole numbers in [0, count)
 */
export function createZipf(count, random = Math.random, theta = 0.99) {
  let zeta = 0
  for (let rank = 1; rank <= count; rank++) zeta += 1 / rank ** theta
  const alpha = 1 / (1 - theta)
  const eta = (1 - (2 / count) ** (1 - theta)) / (1 - (1 + 0.5 ** theta) / zeta)
  return () => {
    const u = random()
    const uz = u * zeta
    if (uz < 1) return 0
    if (uz < 1 + 0.5 ** theta) return 1
    return Math.floor(count * (eta * u - eta + 1) ** alpha)
  }
}
