/** What compactor-child.ts and sharing.test.ts know of each other's keys. */
export const sharedOptions = {
  encoding: 'binary',
  segmentSizeBytes: 2 ** 20,
  syncIntervalMs: 0,
  autoCompact: false,
} as const

export const ownKeys = 300

/** Every byte tells the key, so that a value of another place shows. */
export function ownValue(key: number, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, key & 0xff)
}
