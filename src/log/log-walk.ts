/**
 * Going along the records of the log in memory, from an address on: without checksums, for what this
 * boot wrote and recovery has looked at. With the writer's word in hand, or below a tail that was read
 * with it.
 */
import * as layout from '../format/control-layout.js'
import { batchFrameSizeWords, typeBatch, typeNone } from '../format/record.js'
import type { Log } from './log.js'
import { recordSpan, recordType } from './record-fields.js'
import { firstRecordOffset } from './roll.js'
import { kindLog, slotKind, slotNumber } from './slot-table.js'

export class LogWalk {
  readonly #log: Log
  readonly #endOf: (segmentNumber: number) => number
  /** Address behind the last record of the segment at hand. */
  #segmentEnd: number
  /** Records begin below; may be moved up. */
  end: number
  /** Of the record at hand; where the next one is sought, before the first. */
  address: number
  slot = 0
  offset = 0
  type = 0
  #span = 0
  /** Of the slot at hand: the address behind it. */
  #slotEnd = 0
  /** The slots were looked at when it was this one. */
  #slotGeneration = -1

  /**
   * Records from `address` on that begin below `end`. Where records of an earlier boot are among them
   * `endOf` says behind what address a segment has none that count.
   */
  constructor(
    log: Log,
    address: number,
    end: number,
    endOf: (segmentNumber: number) => number = () => Number.POSITIVE_INFINITY,
  ) {
    this.#log = log
    this.end = end
    this.#endOf = endOf
    this.address = address
    this.#segmentEnd = endOf(Math.floor(address / log.segmentWords))
  }

  /** Goes to the next record; a batch's frame is one, and those in it follow. False at the end. */
  next(): boolean {
    const log = this.#log
    this.address += this.#span
    this.#span = 0
    while (this.address < this.end) {
      if (this.#isInSlot() || this.#find()) {
        const { offset, slot } = this
        const words = log.words[slot]
        const isInside = offset * 2 < words.length && this.address < this.#segmentEnd
        const type = isInside ? recordType(words, offset * 2) : typeNone
        if (type !== typeNone) {
          this.type = type
          this.#span = type === typeBatch ? batchFrameSizeWords : recordSpan(words, offset * 2)
          return true
        }
      }
      const next = this.#nextSegmentStart()
      if (next === undefined) return false
      this.address = next
      this.#segmentEnd = this.#endOf(Math.floor(next / log.segmentWords))
    }
    return false
  }

  /** Most records lie in the slot of the one before. */
  #isInSlot(): boolean {
    const log = this.#log
    log.refreshSlots()
    if (this.address >= this.#slotEnd || log.slotGeneration !== this.#slotGeneration) return false
    this.offset = this.address - log.starts[this.slot]
    return true
  }

  /** False where the segment was dropped: nothing in it counts. */
  #find(): boolean {
    const log = this.#log
    const slot = log.slotOf(Math.floor(this.address / log.segmentWords))
    if (slot === -1 || log.slots.get(log.firstSlotOf(slot), slotKind) !== kindLog) return false
    const place = log.find(this.address)
    if (place === undefined) return false
    this.slot = place.slot
    this.offset = place.offset
    this.#slotEnd = this.address - place.offset + log.segmentWords
    this.#slotGeneration = log.slotGeneration
    return true
  }

  /** Where the records of the log segment behind the one at hand begin. */
  #nextSegmentStart(): number | undefined {
    const log = this.#log
    const current = Math.floor(this.address / log.segmentWords)
    let nearest = Number.POSITIVE_INFINITY
    const slotEnd = log.control.get(layout.slotEnd)
    for (let slot = 0; slot < slotEnd; slot++) {
      const number = log.slots.get(slot, slotNumber)
      if (log.slots.get(slot, slotKind) === kindLog && number > current) {
        nearest = Math.min(nearest, number)
      }
    }
    if (nearest === Number.POSITIVE_INFINITY) return undefined
    return nearest * log.segmentWords + firstRecordOffset
  }
}
