/** The newest record of a key with everything that is known of it. */
import {
  expiresAtDouble,
  flagExpiry,
  sequenceDouble,
  timestampDouble,
  versionDouble,
} from '../format/record.js'
import { recordFlags, recordSpan } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { find, isStable, locateValue } from './read.js'

export interface RecordFacts {
  readonly value: Buffer
  readonly version: number
  readonly sequence: number
  readonly timestampMs: number
  readonly expiresAtMs: number | undefined
  /** Bytes of the record in the log. */
  readonly sizeBytes: number
}

export function getRecord(engine: Engine, keyspaceId: number): RecordFacts | undefined {
  engine.requireOpen()
  const { log, lookup } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    const { offset, recordWords, slot } = lookup
    const doubles = log.doubles[slot]
    locateValue(engine)
    const { valueSlot, valueStart, valueSizeBytes } = lookup
    const bytes = log.bytes[valueSlot]
    const hasExpiry = (recordFlags(recordWords, offset * 2) & flagExpiry) !== 0
    const facts: RecordFacts = {
      value: Buffer.from(bytes.subarray(valueStart, valueStart + valueSizeBytes)),
      version: doubles[offset + versionDouble],
      sequence: doubles[offset + sequenceDouble],
      timestampMs: doubles[offset + timestampDouble],
      expiresAtMs: hasExpiry ? doubles[offset + expiresAtDouble] : undefined,
      sizeBytes: recordSpan(recordWords, offset * 2) * 8,
    }
    if (isStable(engine)) return facts
  }
}
