/**
 * Where records lie that expire, and when the first of them does: a row for every 64 KiB of every
 * segment, in memory beside the control file. What is due is found by looking at the rows, and then at
 * the records of those stretches only.
 *
 * offset | size | field (of the 32 bytes of a row)
 * ------ | ---- | -----
 *      0 |    8 | earliestMs: f64; no record of the stretch that expires does so before; 0 for none
 *      8 |    8 | firstOffset: f64; no record of it that expires begins before, in 8-byte words of the slot
 *     16 |    8 | segmentNumber: f64, of the segment; a row of another one in the slot means nothing
 *     24 |    8 | settledMs: f64; what of it expires up to then is out of the indexes; 0 where nothing is known
 *
 * Without the last of them all that has expired would be looked up again each time that something of its
 * stretch does, until compaction comes by.
 *
 * A row is set before the record that it speaks for is reachable, and may say too much: that something
 * is due where nothing is. So a kill at any instruction leaves it true. Rows are changed with the
 * writer's word in hand.
 */
import type { Control } from '../control/control.js'
import * as layout from '../format/control-layout.js'
import type { MapAccess, MappingSpace, PlatformFile } from '../platform/platform.js'
import { indexInPiece, pieceOf, Region } from '../platform/region.js'
import type { Log } from './log.js'
import { slotNumber } from './slot-table.js'

const firstShift = 10
const rowSizeBytes = 32
const rowDoubles = 4
const earliest = 0
const firstOffset = 1
const segmentNumber = 2
const settled = 3

/** 8-byte words of a stretch: 64 KiB. */
const stretchShift = 13
const stretchWords = 1 << stretchShift

/** Of a record that never expires. */
export const noExpiry = 0

/** A stretch with something due: addresses from its first record on, and behind its last one. */
export interface DueStretch {
  readonly row: number
  readonly start: number
  readonly end: number
  /** See the table. */
  readonly settledMs: number
}

/** What a row says; see above. */
export interface ExpiryRow {
  readonly row: number
  readonly earliestMs: number
  readonly firstOffset: number
  readonly segmentNumber: number
}

export class ExpiryTable {
  readonly region: Region
  readonly #control: Control

  constructor(
    file: PlatformFile,
    control: Control,
    access: MapAccess,
    space: MappingSpace | undefined,
  ) {
    this.#control = control
    this.region = new Region(file, { firstShift, elementSizeBytes: rowSizeBytes }, access, space)
  }

  /** Nothing expires before; {@link noExpiry} where nothing does at all. */
  get nextMs(): number {
    return this.#control.doubles[layout.nextExpiryDouble]
  }

  /** Of a record at `slot` and `offset`, before it is reachable. Throws `STORE_FULL`. */
  note(log: Log, slot: number, offset: number, expiresAtMs: number): void {
    const { doubles } = this.#control
    const row = slot * rowsPerSlot(log) + (offset >>> stretchShift)
    this.#reach(row)
    const piece = this.region.doubles[pieceOf(row, firstShift)]
    const start = indexInPiece(row, firstShift) * rowDoubles
    const number = log.slots.get(slot, slotNumber)
    if (piece[start + segmentNumber] !== number) {
      piece[start + earliest] = noExpiry
      piece[start + firstOffset] = offset
      piece[start + segmentNumber] = number
      piece[start + settled] = 0
    }
    if (expiresAtMs <= piece[start + settled]) piece[start + settled] = 0
    if (offset < piece[start + firstOffset]) piece[start + firstOffset] = offset
    piece[start + earliest] = sooner(piece[start + earliest], expiresAtMs)
    doubles[layout.nextExpiryDouble] = sooner(doubles[layout.nextExpiryDouble], expiresAtMs)
  }

  /** Makes the row, and all before it, usable. */
  #reach(row: number): void {
    const { words } = this.#control
    if (row < words[layout.expiryRowEndWord]) {
      this.region.ensure(row + 1)
      return
    }
    this.region.reserve(row + 1)
    Atomics.store(words, layout.expiryRowEndWord, row + 1)
  }

  /** Every stretch in which something may be due, from a row on. */
  *due(log: Log, nowMs: number, fromRow: number): Generator<DueStretch> {
    const perSlot = rowsPerSlot(log)
    const rowEnd = Atomics.load(this.#control.words, layout.expiryRowEndWord)
    this.region.ensure(rowEnd)
    for (let row = fromRow; row < rowEnd; row++) {
      const piece = this.region.doubles[pieceOf(row, firstShift)]
      const start = indexInPiece(row, firstShift) * rowDoubles
      const earliestMs = piece[start + earliest]
      if (earliestMs === noExpiry || earliestMs > nowMs) continue
      const slot = Math.floor(row / perSlot)
      const number = log.slots.get(slot, slotNumber)
      if (number === 0 || piece[start + segmentNumber] !== number) continue
      const base = number * log.segmentWords
      const inSlot = row - slot * perSlot
      const end = base + Math.min(log.segmentWords, (inSlot + 1) * stretchWords)
      const settledMs = piece[start + settled]
      yield { row, start: base + piece[start + firstOffset], end, settledMs }
    }
  }

  /** All rows that say something. */
  *rows(log: Log): Generator<ExpiryRow> {
    const perSlot = rowsPerSlot(log)
    const rowEnd = Atomics.load(this.#control.words, layout.expiryRowEndWord)
    this.region.ensure(rowEnd)
    for (let row = 0; row < rowEnd; row++) {
      const piece = this.region.doubles[pieceOf(row, firstShift)]
      const start = indexInPiece(row, firstShift) * rowDoubles
      const number = log.slots.get(Math.floor(row / perSlot), slotNumber)
      if (piece[start + earliest] === noExpiry || piece[start + segmentNumber] !== number) continue
      yield {
        row,
        earliestMs: piece[start + earliest],
        firstOffset: piece[start + firstOffset],
        segmentNumber: number,
      }
    }
  }

  /** Into an empty table. */
  restore({ row, ...fields }: ExpiryRow): void {
    const { doubles } = this.#control
    this.#reach(row)
    const piece = this.region.doubles[pieceOf(row, firstShift)]
    const start = indexInPiece(row, firstShift) * rowDoubles
    piece[start + earliest] = fields.earliestMs
    piece[start + firstOffset] = fields.firstOffset
    piece[start + segmentNumber] = fields.segmentNumber
    piece[start + settled] = 0
    doubles[layout.nextExpiryDouble] = sooner(doubles[layout.nextExpiryDouble], fields.earliestMs)
  }

  /** What is left of a stretch of which all that was due at `nowMs` is gone. */
  settle(row: number, nowMs: number, earliestMs: number): void {
    const piece = this.region.doubles[pieceOf(row, firstShift)]
    const start = indexInPiece(row, firstShift) * rowDoubles
    piece[start + settled] = nowMs
    piece[start + earliest] = earliestMs
  }

  /** Once all rows were looked at: when the next one is due. */
  settleAll(log: Log): void {
    const perSlot = rowsPerSlot(log)
    const rowEnd = this.#control.words[layout.expiryRowEndWord]
    let next = noExpiry
    for (let row = 0; row < rowEnd; row++) {
      const piece = this.region.doubles[pieceOf(row, firstShift)]
      const start = indexInPiece(row, firstShift) * rowDoubles
      if (piece[start + earliest] === noExpiry) continue
      const number = log.slots.get(Math.floor(row / perSlot), slotNumber)
      if (number !== 0 && piece[start + segmentNumber] === number) {
        next = sooner(next, piece[start + earliest])
      }
    }
    this.#control.doubles[layout.nextExpiryDouble] = next
  }
}

/** The sooner of two times of which each may be none. */
export function sooner(a: number, b: number): number {
  return a === noExpiry || (b !== noExpiry && b < a) ? b : a
}

/** One for a segment that is shorter than a stretch: a simulated disk may have such. */
function rowsPerSlot(log: Log): number {
  return Math.max(1, log.segmentWords >>> stretchShift)
}
