/** clear: deletes of all keys of a range, in batches. */
import { noExpiry } from '../log/expiry-table.js'
import { BatchDraft, type EncodedOperation } from './batch-draft.js'
import type { Engine } from './engine.js'
import { type KeyRange, RangeReader } from './range.js'
import { writeBatch } from './write-batch.js'

/** Keys of a batch: long enough to share its cost, and others wait some 500 microseconds for it. */
const keysAtOnce = 256

/** What a keyspace is written under, as {@link writeBatch} wants it; throws where it was dropped. */
type WrittenUnder = () => { readonly id: number; readonly generation: number }

export function clearRange(
  { engine, keyspaceId }: { readonly engine: Engine; readonly keyspaceId: number },
  range: KeyRange,
  writtenUnder: WrittenUnder,
): void {
  const draft = new BatchDraft()
  const reader = new RangeReader(engine, keyspaceId, range, 'keys', undefined)
  let operations: EncodedOperation[] = []
  const flush = (): void => {
    while (operations.length > 0) {
      const { id, generation } = writtenUnder()
      for (const operation of operations) operation.keyspaceId = id
      if (writeBatch(engine, operations, draft, generation)) break
    }
    operations = []
    draft.clear()
  }
  try {
    while (reader.nextBatch()) {
      for (let index = 0; index < reader.count; index++) {
        engine.key.setBytes(reader.keyBytes(index))
        operations.push({
          type: 'delete',
          keyspaceId,
          keyStart: draft.addKey(engine.key),
          keySizeBytes: engine.key.sizeBytes,
          value: undefined,
          valueStart: 0,
          valueSizeBytes: 0,
          expiresAtMs: noExpiry,
        })
      }
      if (operations.length >= keysAtOnce || !draft.isWorthKeeping) flush()
    }
    flush()
  } finally {
    reader.close()
  }
}
