/**
 * The record that this attachment updated in place last: counters are updated again and again, and where
 * the record lies need not be looked up each time.
 *
 * Invariant: with the writer's word in hand, `commits` equal to that of the control state says that nothing
 * of the store was changed since, by whomever: the record lies where it lay, is the newest of its key, and
 * may be updated in place if it could be then. So nobody has to take this back.
 * Hot path: `bench/operations.mjs`, rows "update" and "increment".
 */
export class HotRecord {
  /** As the caller of the keyspace `owner` names it; undefined where it cannot be used. */
  key: string | undefined
  owner: object | undefined
  /** False from when an operation begins until it has updated a record in place. */
  isNoted = false
  keyspaceId = 0
  commits = 0
  home = 0
  slot = 0
  offset = 0
  recordWords: Int32Array = new Int32Array(16)
}
