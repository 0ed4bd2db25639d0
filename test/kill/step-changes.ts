/** The changes of every-step.test.ts: one of every kind, short enough to be stopped everywhere. */
import type { Change, Part } from '../support/state.js'
import { segmentSizeBytes } from './workloads.js'

const part = (key: string, size: number, seed: number, space = ''): Part => ({
  space,
  key,
  value: { size, seed },
})
export const put = (key: string, size: number, seed: number, space = ''): Change => ({
  do: 'set',
  parts: [part(key, size, seed, space)],
})

const stream = (key: string, size: number, seed: number): Change => ({
  do: 'stream',
  parts: [{ space: '', key, value: { size, seed } }],
})

/** Every kind of change; the segment is full after about a half of them. */
export const changes: readonly Change[] = [
  ...Array.from({ length: 8 }, (_, index) => put(`full${index}`, 125_000, index)),
  put('a', 20, 1),
  put('b', 100, 2),
  { do: 'sync' },
  // The changes above are done in full; what follows is stopped everywhere.
  put('c', 30, 3),
  put('c', 30, 4),
  put('a', 20, 5),
  { do: 'set', parts: [{ space: '', key: 'b', value: undefined }] },
  { do: 'write', parts: [part('d', 10, 6), part('e', 10, 7), part('c', 9, 8)] },
  { do: 'make', space: 'one' },
  put('a', 5, 9, 'one'),
  put('large', segmentSizeBytes / 4 + 10, 10),
  put('roll', 60_000, 11),
  stream('streamed', segmentSizeBytes / 2, 13),
  { do: 'sync' },
  { do: 'drop', space: 'one' },
  put('large', 3, 12),
]
export const heldChanges = 11
