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

const streamed = { space: '', key: 'streamed', value: { size: segmentSizeBytes / 2, seed: 13 } }

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
  { do: 'transaction', parts: [part('a', 6, 14), part('t', 70, 15), part('a', 4, 16, 'one')] },
  { do: 'throw', parts: [part('a', 7, 17), { space: '', key: 't', value: undefined }] },
  { do: 'update', parts: [part('a', 5, 18)] },
  { do: 'rename', from: { space: '', key: 't' }, to: { space: '', key: 'd' } },
  { do: 'copy', from: { space: '', key: 'd' }, to: { space: 'one', key: 'd' } },
  { do: 'stream', parts: [streamed] },
  { do: 'break', parts: [{ ...streamed, value: { size: segmentSizeBytes / 2, seed: 19 } }] },
  { do: 'sync' },
  { do: 'drop', space: 'one' },
  put('large', 3, 12),
]
export const heldChanges = 11
