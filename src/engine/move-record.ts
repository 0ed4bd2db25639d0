/**
 * Moving a record to the tail: what compaction does with all that still counts in a segment. With the
 * writer's word in hand, for some records at a time (compaction/copy-records.ts).
 *
 * The copy is the same record in another place: key, value, version, sequence, time and previous
 * address are kept, so whatever was true of the one is true of the other, whichever of them a reader, a
 * snapshot or a replay meets. It is a record of its own, also where the other one was of a batch: that
 * batch survived a sync as a whole, and every record of it that still counts is copied before it goes.
 *
 * Crash argument: as of an append (append-record.ts). Killed before the commit, the entry leads to the
 * old place; killed after it, repair makes it lead to the new one. Both places have the record: the old
 * one's segment goes only when a sync has covered the copy (compaction/drop-segments.ts).
 *
 * A copy is never updated in place (put.ts): a snapshot may show it that was opened before it was made.
 */
import { copyWords } from '../base/copy-words.js'
import * as layout from '../format/control-layout.js'
import {
  expiresAtDouble,
  flagExpiry,
  flagInBatch,
  flagMoved,
  keySizeWord,
  kindWord,
  kindWordOf,
  typePut,
  typeTombstone,
} from '../format/record.js'
import {
  alignmentDoublesMax,
  isAligned,
  paddingBefore,
  slackBefore,
  writePadding,
} from '../log/alignment.js'
import { advanceTail, type RecordTarget, seal, targetTail } from '../log/append.js'
import {
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueSize,
} from '../log/record-fields.js'
import { makeRoom } from '../log/roll.js'
import { accountAppend, accountMove, accountOverhead, accountPadding } from './account.js'
import { asWriteFailure } from './append-record.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { probe, probePlace } from './probe.js'
import { announceReplace } from './publish.js'
import { takeKey } from './take-key.js'

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

/**
 * Copies the record at `slot` and `offset`, whose verified words begin at `start` of `words`, if it is what the
 * index has for its key, whose hash is `hash`. A tombstone without an entry is copied where `keepsTombstones`
 * and its key has no newer record: an older one may be left somewhere, and would come back. The record lay
 * below the read-only boundary when its words were read: an update in place since then would be undone. Returns
 * the bytes of the copy, 0 where none was made. Throws `STORE_FULL`; nothing is changed then.
 *
 * Whether the index has it is told by the place that its key's entry leads to, whoever's record that may be: of
 * dead records, half of all in a segment that is worth it, nothing else is looked at.
 * Hot path: `bench/compaction.mjs`, "compact()".
 */
export function moveRecord(
  engine: Engine,
  words: Int32Array,
  start: number,
  hash: number,
  slotBefore: number,
  offsetBefore: number,
  keepsTombstones: boolean,
): number {
  const { expiries, log } = engine
  const type = recordType(words, start)
  const isEntry = probePlace(engine, hash, slotBefore, offsetBefore)
  if (!isEntry) {
    if (type !== typeTombstone || !keepsTombstones) return 0
    takeKey(engine, words, start)
    if (probe(engine, hash, recordKeyspace(words, start))) return 0
  }
  const spanDoubles = recordSpan(words, start)
  const sizeDoubles = spanDoubles - (words[start + keySizeWord] >>> 16)
  const flags = (recordFlags(words, start) & ~flagInBatch) | flagMoved
  const keySizeBytes = recordKeySize(words, start)
  const wantsPlace = type === typePut && isAligned(recordValueSize(words, start), flags)
  const roomDoubles = wantsPlace ? sizeDoubles + alignmentDoublesMax : sizeDoubles
  if (log.tailOffset + roomDoubles > log.nextCheck) makeRoom(log, roomDoubles, engine.epoch, true)
  const slot = log.tailSlot
  const offset = log.tailOffset
  const padding = wantsPlace ? paddingBefore(offset, keySizeBytes, flags) : 0
  const slack = wantsPlace ? slackBefore(offset + padding + sizeDoubles, keySizeBytes, flags) : 0
  try {
    const paddingChecksum = padding === 0 ? 0 : writePadding(log, target, padding)
    // The writer's own tail runs ahead; the state's passes both records by one commit.
    advanceTail(log, padding)
    writeCopy(
      engine,
      words,
      start,
      kindWordOf(type, flags, recordKeyspace(words, start)),
      sizeDoubles,
    )
    target.words[(target.offset << 1) + keySizeWord] = keySizeBytes | (slack << 16)
    // Before it is reachable: what expires here is looked for here.
    if ((flags & flagExpiry) !== 0) {
      const expiresAtMs = target.doubles[target.offset + expiresAtDouble]
      expiries.note(log, log.tailSlot, target.offset, expiresAtMs)
    }
    const checksum = seal(target, sizeDoubles)
    if (log.isAppendOnly) log.writeThrough(slot, offset, padding + sizeDoubles)
    const address = log.starts[slotBefore] + offsetBefore
    announceAppend(engine, address, sizeDoubles + slack, checksum, padding, paddingChecksum)
    if (type === typeTombstone) accountOverhead(engine.control, sizeDoubles + slack, true)
    if (isEntry) {
      announceReplace(engine, hash, log.tailSlot, log.tailOffset)
      if (type !== typeTombstone) accountMove(engine, spanDoubles, sizeDoubles + slack)
    }
  } catch (error) {
    log.words[slot].fill(0, offset * 2, (offset + padding + sizeDoubles) * 2)
    log.adoptTail()
    throw asWriteFailure(engine, error)
  }
  engine.control.commit()
  advanceTail(log, sizeDoubles + slack)
  applyPending(engine)
  return (sizeDoubles + slack) * 8
}

/** All of it but its size with slack, and its checksum. `sizeDoubles`: without slack. */
function writeCopy(
  { log }: Engine,
  words: Int32Array,
  start: number,
  kind: number,
  sizeDoubles: number,
): void {
  targetTail(log, target, false)
  const to = target.offset << 1
  copyWords(target.words, to, words, start, sizeDoubles << 1)
  target.words[to + kindWord] = kind
}

/**
 * `address`: of what is copied. `sizeDoubles`: with slack. `padding`: 8-byte words of the padding record before it,
 * 0 for none.
 */
function announceAppend(
  { control }: Engine,
  address: number,
  sizeDoubles: number,
  checksum: number,
  padding: number,
  paddingChecksum: number,
): void {
  const { doubles, next } = control
  const last = control.get(layout.lastRecord)
  const to = control.get(layout.tail) + padding
  control.begin()
  if (padding !== 0) accountPadding(control, padding, paddingChecksum)
  accountAppend(control, sizeDoubles, checksum)
  doubles[next + layout.lastRecord] = last === address ? to : last
  doubles[next + layout.movedRecords] += 1
}
