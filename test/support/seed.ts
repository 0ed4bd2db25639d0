/**
 * The seed of all random choices of a run: VARVE_SEED, or one from the clock. A test that makes
 * such choices names it where it fails, so that the run can be had again.
 */
export const seed: number = chosen(process.env.VARVE_SEED)

function chosen(text: string | undefined): number {
  if (text === undefined) return Date.now() % 1_000_000
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new RangeError(`VARVE_SEED is ${JSON.stringify(text)}; accepted: 0 to 999999999`)
}
