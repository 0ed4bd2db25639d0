/**
 * The hybrid clock that versions come from: the wall clock in milliseconds times 2,048, or one
 * above the highest version seen, whichever is more. So versions rise when the wall clock goes
 * back, stay near it otherwise, and 2,048 writes a millisecond do not outrun it.
 */
export const versionsPerMs = 2048

export function nextVersion(highest: number, nowMs: number): number {
  return Math.max(highest + 1, nowMs * versionsPerMs)
}
