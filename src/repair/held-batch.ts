/**
 * The records of a batch that is not known to have been committed: it was if all of it is there, or
 * the log went on behind it. Until one of these shows, its records are held back, so that of a batch
 * that a dying writer left half written nothing is saved.
 *
 * Invariant: what is held is of one batch, the last that was met.
 */
import type { SavedRecord } from './saved-record.js'

export class HeldBatch {
  #held: SavedRecord[] = []
  /** Records that the frame announced and that are still to come; 0 where that cannot be told. */
  #expected = 0

  /** The frame of a batch of so many records was met. */
  begin(count: number): void {
    this.#expected = count
  }

  /** Something between its records is damaged: that all of them are there cannot be shown any more. */
  interrupt(): void {
    this.#expected = 0
  }

  /** Holds a record. Returns those that count now. */
  add(record: SavedRecord): readonly SavedRecord[] {
    this.#held.push(record)
    if (this.#expected === 0 || --this.#expected > 0) return []
    return this.release()
  }

  /** What is held counts, or never will. */
  release(): readonly SavedRecord[] {
    const released = this.#held
    this.#held = []
    this.#expected = 0
    return released
  }
}
