/**
 * The counts that go with a change, set in the state to come: what is live, what is dead, the
 * digest since the last marker. Between `begin` and `commit` only.
 * Hot path: `bench/compare`, rows "load", "random update", "delete".
 */
import type { Control } from '../control/control.js'
import * as layout from '../format/control-layout.js'
import { recordKeySize, recordSpan, recordValueSize, referencedSlot } from '../log/record-fields.js'
import { slotDeadBytes, slotDeadSequence, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'

/** A record of `sizeDoubles` at the tail, with its checksum in the digest. */
export function accountAppend(control: Control, sizeDoubles: number, checksum: number): void {
  const { doubles, next } = control
  doubles[next + layout.lastRecord] = doubles[next + layout.tail]
  doubles[next + layout.tail] += sizeDoubles
  doubles[next + layout.usedBytes] += sizeDoubles * 8
  addToDigest(control, checksum)
}

/** What was appended is no put: see `tailOverheadBytes`. */
export function accountOverhead(control: Control, sizeDoubles: number, isTombstone: boolean): void {
  const { doubles, next } = control
  doubles[next + layout.tailOverheadBytes] += sizeDoubles * 8
  if (isTombstone) doubles[next + layout.tailTombstoneBytes] += sizeDoubles * 8
}

/** A padding record before the one that is appended. */
export function accountPadding(control: Control, sizeDoubles: number, checksum: number): void {
  const { doubles, next } = control
  doubles[next + layout.tail] += sizeDoubles
  doubles[next + layout.usedBytes] += sizeDoubles * 8
  accountOverhead(control, sizeDoubles, false)
  addToDigest(control, checksum)
}

const twoTo32 = 2 ** 32

/** Without `%`, which is a function call for doubles: half of all sums carry. */
export function addToDigest(control: Control, checksum: number): void {
  const { doubles, next } = control
  const sum = doubles[next + layout.digestLow] + (checksum >>> 0)
  if (sum < twoTo32) {
    doubles[next + layout.digestLow] = sum
    return
  }
  const high = doubles[next + layout.digestHigh] + 1
  doubles[next + layout.digestLow] = sum - twoTo32
  doubles[next + layout.digestHigh] = high === twoTo32 ? 0 : high
}

/** The digest to come is the one that counts with a record's checksum in the place of its former one. */
export function replaceInDigest(control: Control, former: number, checksum: number): void {
  const { doubles, next, state } = control
  const low = doubles[state + layout.digestLow] + ((checksum >>> 0) - (former >>> 0))
  const high = doubles[state + layout.digestHigh]
  if (low < 0) {
    doubles[next + layout.digestLow] = low + twoTo32
    doubles[next + layout.digestHigh] = high === 0 ? twoTo32 - 1 : high - 1
  } else if (low < twoTo32) {
    doubles[next + layout.digestLow] = low
    doubles[next + layout.digestHigh] = high
  } else {
    doubles[next + layout.digestLow] = low - twoTo32
    doubles[next + layout.digestHigh] = high + 1 === twoTo32 ? 0 : high + 1
  }
}

/** A new live key. `bytes` is what its record, and its value segment, take. */
export function accountInsert(
  engine: Engine,
  keyspaceId: number,
  valueSizeBytes: number,
  bytes: number,
): void {
  const { control, key } = engine
  const { doubles, next } = control
  doubles[next + layout.records] += 1
  doubles[next + layout.keyBytes] += key.sizeBytes
  doubles[next + layout.valueBytes] += valueSizeBytes
  doubles[next + layout.liveBytes] += bytes
  announceKeyspace(engine, keyspaceId, 1, key.sizeBytes, valueSizeBytes)
}

/** A live key gets another record; the one of the lookup is dead. */
export function accountReplace(
  engine: Engine,
  keyspaceId: number,
  valueSizeBytes: number,
  bytes: number,
): void {
  const { control, lookup } = engine
  const { doubles, next } = control
  const oldValueSize = recordValueSize(lookup.recordWords, lookup.offset << 1)
  doubles[next + layout.liveBytes] += bytes - announceDead(engine)
  if (oldValueSize === valueSizeBytes) return
  doubles[next + layout.valueBytes] += valueSizeBytes - oldValueSize
  announceKeyspace(engine, keyspaceId, 0, 0, valueSizeBytes - oldValueSize)
}

/**
 * The record of the lookup, of `spanDoubles`, is live in another place, of `sizeDoubles`. In its old one it is
 * dead for the space only: a snapshot that needs it finds it in the new one. Of several in one change all lie in
 * the same slot.
 */
export function accountMove(
  { control, lookup, log }: Engine,
  spanDoubles: number,
  sizeDoubles: number,
): void {
  const { doubles, next } = control
  const { slot } = lookup
  const spanBytes = spanDoubles * 8
  doubles[next + layout.liveBytes] += sizeDoubles * 8 - spanBytes
  if (doubles[next + layout.pendingDeadSlot] === slot) {
    doubles[next + layout.pendingDeadBytes] += spanBytes
    return
  }
  doubles[next + layout.pendingDeadSlot] = slot
  doubles[next + layout.pendingDeadBytes] = log.slots.get(slot, slotDeadBytes) + spanBytes
  doubles[next + layout.pendingDeadSequence] = log.slots.get(slot, slotDeadSequence)
}

/** A key is live no more; the record of the lookup is dead. */
export function accountRemove(engine: Engine, keyspaceId: number): void {
  const { control, lookup } = engine
  const { doubles, next } = control
  const start = lookup.offset << 1
  const keySize = recordKeySize(lookup.recordWords, start)
  const valueSize = recordValueSize(lookup.recordWords, start)
  doubles[next + layout.records] -= 1
  doubles[next + layout.keyBytes] -= keySize
  doubles[next + layout.valueBytes] -= valueSize
  doubles[next + layout.liveBytes] -= announceDead(engine)
  announceKeyspace(engine, keyspaceId, -1, -keySize, -valueSize)
}

export function announceKeyspace(
  engine: Engine,
  keyspaceId: number,
  records: number,
  keyBytes: number,
  valueBytes: number,
): void {
  const { control, counts } = engine
  const { doubles, next } = control
  doubles[next + layout.pendingKeyspace] = keyspaceId
  doubles[next + layout.pendingKeyspaceRecords] = counts.get(keyspaceId, 0) + records
  doubles[next + layout.pendingKeyspaceKeyBytes] = counts.get(keyspaceId, 1) + keyBytes
  doubles[next + layout.pendingKeyspaceValueBytes] = counts.get(keyspaceId, 2) + valueBytes
}

/**
 * The record of the lookup is superseded by the commit to come, and its segment has so many more dead
 * bytes: none for a tombstone, which was counted when it was written.
 */
export function announceDeath({ control, lookup, log }: Engine, bytes: number): void {
  const { doubles, next } = control
  const { slot } = lookup
  doubles[next + layout.pendingDeadSlot] = slot
  doubles[next + layout.pendingDeadBytes] = log.slots.get(slot, slotDeadBytes) + bytes
  doubles[next + layout.pendingDeadSequence] = doubles[next + layout.sequence]
}

/**
 * The record of the lookup no longer counts: its segment has more dead bytes. Returns the bytes
 * that were live with it, those of its value segment included.
 */
function announceDead(engine: Engine): number {
  const { control, lookup, log } = engine
  const { doubles, next } = control
  const { recordWords, slot, offset } = lookup
  const bytes = recordSpan(recordWords, offset << 1) << 3
  announceDeath(engine, bytes)
  const valueSlot = referencedSlot(log, slot, offset)
  if (valueSlot === -1) return bytes
  doubles[next + layout.pendingDeadValueSlot] = valueSlot
  return bytes + log.slots.get(valueSlot, slotSizeBytes)
}
