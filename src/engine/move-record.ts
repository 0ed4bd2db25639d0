/**
 * Moving records to the tail: what compaction does with all that still counts in a segment. With the
 * writer's word in hand, some of them at a time (compaction/copy-records.ts).
 *
 * A copy is the same record in another place: key, value, version, sequence, time and previous
 * address are kept, so whatever was true of the one is true of the other, whichever of them a reader, a
 * snapshot or a replay meets. It is a record of its own, also where the other one was of a batch: that
 * batch survived a sync as a whole, and every record of it that still counts is copied before it goes.
 *
 * Crash argument, step by step:
 * 1. The copies are written behind the tail, one behind the other in one segment, each with its checksum last, while
 *    the next state is filled: tail, counts and digest with all of them, the dead bytes of the segment they come from,
 *    and in its redo area the entry of each. Killed here: nothing refers to any of them.
 * 2. One commit makes the state count. Killed before: as 1, and repair wipes what lies behind the tail.
 * 3. The entries are written one by one, each under an odd version of its home bucket. Killed in between, some lead to
 *    the old place and some to the new one, and both have the record: the old one's segment goes only when a sync has
 *    covered the copies (compaction/drop-segments.ts). Repair writes all of them again, to where they are: nobody
 *    else changed the index since the commit.
 * One commit for some dozens of records: for each of them alone it was half of what a move takes
 * (`bench/compaction.mjs`, "speed").
 *
 * A copy is never updated in place (put.ts): a snapshot may show it that was opened before it was made.
 */
import { assert } from '../base/assert.js'
import { copyWords } from '../base/copy-words.js'
import type { Control } from '../control/control.js'
import { entryHigh, entryLow } from '../format/bucket.js'
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
import { wordOf } from '../index/hash-index.js'
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
import { takeKey } from './take-key.js'

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

/** Records of one segment, or part of an oversized one, that are to be moved if they still count. */
export interface MoveRequest {
  /** Memory that holds their verified words … */
  readonly words: Int32Array
  /** … from which word on, for the first `count` of them … */
  readonly starts: Int32Array
  /** … with the hashes of their keys. */
  readonly hashes: Int32Array
  readonly count: number
  /** Where they lie: the slot, and offsets there in 8-byte words. */
  readonly slot: number
  readonly offsets: Int32Array
  /** What a tombstone without an entry is kept for: an older record of its key may be left somewhere. */
  readonly keepsTombstones: boolean
}

export interface MoveTally {
  recordsMoved: number
  bytesMoved: number
}

/** Of the group that is being written: its records, and the entries that its state announces. */
let groupCount = 0
let groupEntries = 0

/** So many entries fit the redo area. */
const movesMax = Math.floor(layout.redoSizeBytes / 4 / layout.moveWords)

/**
 * Copies those of up to {@link movesMax} records that are what the index has for their keys. A tombstone without an
 * entry is copied where `keepsTombstones` and its key has no newer record: it would come back. The records lay
 * below the read-only boundary when their words were read: an update in place since then would be undone.
 * Throws `STORE_FULL`; some may have been moved then.
 *
 * Whether the index has a record is told by the place that its key's entry leads to, whoever's record that may be: of
 * dead records, half of all in a segment that is worth it, nothing else is looked at.
 * Hot path: `bench/compaction.mjs`, "speed".
 */
export function moveRecords(engine: Engine, request: MoveRequest, tally: MoveTally): void {
  const { count, hashes, keepsTombstones, offsets, slot, starts, words } = request
  assert(count <= movesMax, `${count} records fit one group`)
  groupCount = 0
  groupEntries = 0
  try {
    for (let record = 0; record < count; record++) {
      const start = starts[record]
      const hash = hashes[record]
      const isEntry = probePlace(engine, hash, slot, offsets[record])
      if (!isEntry && !(keepsTombstones && isLastTombstone(engine, words, start, hash))) continue
      tally.bytesMoved += moveRecord(engine, words, start, hash, slot, offsets[record], isEntry)
      tally.recordsMoved++
    }
    commitMoves(engine)
  } catch (error) {
    // Else nothing was written since the last commit.
    if (groupCount === 0) throw error
    abandonMoves(engine)
    throw asWriteFailure(engine, error)
  }
}

/** True for a tombstone whose key has no record in the index. */
function isLastTombstone(engine: Engine, words: Int32Array, start: number, hash: number): boolean {
  if (recordType(words, start) !== typeTombstone) return false
  takeKey(engine, words, start)
  return !probe(engine, hash, recordKeyspace(words, start))
}

/** Adds a record to the group; where `isEntry`, the lookup has its entry. Returns the bytes of the copy. */
function moveRecord(
  engine: Engine,
  words: Int32Array,
  start: number,
  hash: number,
  slotBefore: number,
  offsetBefore: number,
  isEntry: boolean,
): number {
  const { control, expiries, log } = engine
  const type = recordType(words, start)
  const spanDoubles = recordSpan(words, start)
  const sizeDoubles = spanDoubles - (words[start + keySizeWord] >>> 16)
  const flags = (recordFlags(words, start) & ~flagInBatch) | flagMoved
  const keySizeBytes = recordKeySize(words, start)
  const wantsPlace = type === typePut && isAligned(recordValueSize(words, start), flags)
  const roomDoubles = wantsPlace ? sizeDoubles + alignmentDoublesMax : sizeDoubles
  if (log.tailOffset + roomDoubles > log.nextCheck) {
    // It may go on in another segment, by commits of its own.
    commitMoves(engine)
    makeRoom(log, roomDoubles, engine.epoch, true)
  }
  if (groupCount === 0) control.begin()
  groupCount++
  const offset = log.tailOffset
  const padding = wantsPlace ? paddingBefore(offset, keySizeBytes, flags) : 0
  const slack = wantsPlace ? slackBefore(offset + padding + sizeDoubles, keySizeBytes, flags) : 0
  if (padding !== 0) {
    accountPadding(control, padding, writePadding(log, target, padding))
    // The writer's own tail runs ahead; the state's passes all records by one commit.
    advanceTail(log, padding)
  }
  const kind = kindWordOf(type, flags, recordKeyspace(words, start))
  writeCopy(engine, words, start, kind, sizeDoubles)
  target.words[(target.offset << 1) + keySizeWord] = keySizeBytes | (slack << 16)
  // Before it is reachable: what expires here is looked for here.
  if ((flags & flagExpiry) !== 0) {
    const expiresAtMs = target.doubles[target.offset + expiresAtDouble]
    expiries.note(log, log.tailSlot, target.offset, expiresAtMs)
  }
  const checksum = seal(target, sizeDoubles)
  accountCopy(control, log.starts[slotBefore] + offsetBefore, sizeDoubles + slack, checksum)
  if (type === typeTombstone) accountOverhead(control, sizeDoubles + slack, true)
  if (isEntry) {
    announceMove(engine, hash, log.tailSlot, log.tailOffset)
    if (type !== typeTombstone) accountMove(engine, spanDoubles, sizeDoubles + slack)
  }
  advanceTail(log, sizeDoubles + slack)
  return (sizeDoubles + slack) * 8
}

/** Steps 2 and 3, if there is a group. */
function commitMoves(engine: Engine): void {
  if (groupCount === 0) return
  const { control, log } = engine
  const { doubles, next, state } = control
  if (log.isAppendOnly) {
    const sizeDoubles = doubles[next + layout.tail] - doubles[state + layout.tail]
    log.writeThrough(log.tailSlot, log.tailOffset - sizeDoubles, sizeDoubles)
  }
  if (groupEntries > 0) {
    doubles[next + layout.pendingKind] = layout.changeMoves
    doubles[next + layout.pendingMoveCount] = groupEntries
  }
  control.commit()
  groupCount = 0
  groupEntries = 0
  applyPending(engine)
}

/** Nothing of a group that was not committed stays behind the tail. */
function abandonMoves({ control, log }: Engine): void {
  groupCount = 0
  groupEntries = 0
  log.adoptTail()
  const end = Math.min(log.tailLimit, control.doubles[layout.writeLimitDouble])
  log.words[log.tailSlot].fill(0, log.tailOffset * 2, end * 2)
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

/** `address`: of what was copied. `sizeDoubles`: with slack. */
function accountCopy(
  control: Control,
  address: number,
  sizeDoubles: number,
  checksum: number,
): void {
  const { doubles, next } = control
  const last = doubles[next + layout.lastRecord]
  accountAppend(control, sizeDoubles, checksum)
  if (last !== address) doubles[next + layout.lastRecord] = last
  doubles[next + layout.movedRecords] += 1
}

/** The entry of the lookup is to lead to `slot` and `offset`. */
function announceMove(
  { control, log, lookup }: Engine,
  hash: number,
  slot: number,
  offset: number,
): void {
  const { words } = control
  const at = (control.redoStart(control.next) >>> 2) + groupEntries * layout.moveWords
  words[at + layout.moveHome] = lookup.home
  words[at + layout.moveBucket] = lookup.bucket
  words[at + layout.moveEntry] = lookup.entryIndex - wordOf(Math.abs(lookup.bucket))
  words[at + layout.moveLow] = entryLow(hash, slot, log.shift)
  words[at + layout.moveHigh] = entryHigh(slot, offset, log.shift)
  groupEntries++
}
