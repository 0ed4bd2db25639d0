/** An operation of a batch whose key and value are bytes, and whose keyspace may not have an id yet. */
import { BatchDraft, type EncodedOperation, ownCopy } from '../engine/batch-draft.js'
import type { Engine } from '../engine/engine.js'
import { sizeOfValue } from '../engine/put.js'
import type { StoreKey } from './encoding.js'
import type { Keyspace } from './keyspace.js'

export interface OperationDraft extends EncodedOperation {
  readonly keyspace: Keyspace<unknown, StoreKey>
}

/** Until all operations are known to be good. */
const unknownKeyspaceId = -1

/** Copies key and value into `draft`. `value` is undefined for a delete. */
export function draftOperation(
  engine: Engine,
  keyspace: Keyspace<unknown, StoreKey>,
  key: StoreKey,
  value: unknown,
  expiresAtMs: number,
  draft: BatchDraft,
): OperationDraft {
  const bytes = keyspace.encodeOperation(key, value)
  const isDrafted = BatchDraft.holds(bytes)
  return {
    type: value === undefined ? 'delete' : 'put',
    keyspace,
    keyspaceId: unknownKeyspaceId,
    keyStart: draft.addKey(engine.key),
    keySizeBytes: engine.key.sizeBytes,
    value: isDrafted ? undefined : ownCopy(bytes),
    valueStart: isDrafted ? draft.addValue(bytes) : 0,
    valueSizeBytes: sizeOfValue(bytes),
    expiresAtMs,
  }
}
