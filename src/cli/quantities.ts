/** Numbers with their units, for people. */

const byteUnits = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

export function formatCount(count: number): string {
  return count.toLocaleString('en')
}

/** "1 file", "2 files". */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

export function formatBytes(sizeBytes: number): string {
  let size = sizeBytes
  let unit = 0
  for (; size >= 1024 && unit < byteUnits.length - 1; unit++) size /= 1024
  return `${unit === 0 ? size : size.toFixed(1)} ${byteUnits[unit]}`
}

export function formatMs(durationMs: number): string {
  return durationMs < 1000 ? `${durationMs.toFixed(1)} ms` : `${(durationMs / 1000).toFixed(1)} s`
}

/** How often a second, for `count` times in `durationMs`. */
export function perSecond(count: number, durationMs: number): number {
  return durationMs === 0 ? 0 : Math.round((count / durationMs) * 1000)
}
