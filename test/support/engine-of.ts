/** The inside of an open store, for tests that look at memory and not only at answers. */
import type { Engine } from '../../src/engine/engine.js'
import { versionWordInBucket } from '../../src/format/bucket.js'
import * as layout from '../../src/format/control-layout.js'
import { wordOf } from '../../src/index/hash-index.js'
import type { Keyspace, StoreKey } from '../../src/store/index.js'

export function engineOf<V, K extends StoreKey>(store: Keyspace<V, K>): Engine {
  return (store as unknown as { engine: Engine }).engine
}

/** Home buckets whose version word is odd: between operations there is none. */
export function oddBuckets(engine: Engine): number[] {
  const odd: number[] = []
  const bucketCount = engine.control.get(layout.bucketCount)
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const words = engine.index.wordsOf(bucket)
    if ((words[wordOf(bucket) + versionWordInBucket] & 1) === 1) odd.push(bucket)
  }
  return odd
}
