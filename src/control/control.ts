/**
 * The control file in memory: two states, of which one counts, and the commit that swaps them.
 *
 * How a change is made (I7): `begin` copies the state that counts into the other one; the operation
 * writes the new fields there, and what it is going to do to index and log; `commit` is a single
 * store that makes the other state count; then the operation does what it announced. Killed before
 * the commit, nothing happened. Killed after it, whoever comes next does the announced change
 * again: it is the same when made twice.
 *
 * Invariants: `state` and `next` name the two states and never the same one. Between operations
 * the announced change of `state` is applied in full. Only who holds the writer's word writes a
 * state; what others find in `state` and `next` may be old until they {@link adopt}, and what they
 * read counts only if no commit came in between ({@link read}).
 *
 * Not here: what the fields mean (format/control-layout.ts) and how changes are applied
 * (engine/apply.ts).
 */
import { publishWord } from '../base/shared-words.js'
import {
  changeNone,
  controlSizeBytes,
  currentWord,
  pendingDeadSlot,
  pendingDeadValueSlot,
  pendingFreedSlot,
  pendingKeyspace,
  pendingKind,
  pendingLiveValueSlot,
  pendingOrder,
  poisonCauseOffset,
  poisonCauseSizeBytes,
  poisonedWord,
  redoOffset,
  redoSizeBytes,
  sessionWord,
  stateDouble,
  stateFieldCount,
  stateSizeDoubles,
} from '../format/control-layout.js'
import type { MapAccess, Mapping, MappingSpace, PlatformFile } from '../platform/platform.js'

export class Control {
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly bytes: Buffer
  /** The same as 64-bit words, to raise doubles by compare-and-swap. */
  readonly #bits: BigInt64Array
  readonly file: PlatformFile
  /** First double of the state that counts. */
  state: number
  /** First double of the other one. */
  next: number
  readonly #redo0: Int32Array
  readonly #redo1: Int32Array
  /** The commit word as last seen. */
  #commits: number
  /** The two states differ in what an update in place changes, and in what they announce, alone. */
  #areAlike = false
  readonly #mapping: Mapping

  constructor(file: PlatformFile, access: MapAccess, space: MappingSpace | undefined) {
    this.file = file
    if (access === 'shared') file.reserve(controlSizeBytes)
    this.#mapping = file.map(0, controlSizeBytes, access, space)
    const { buffer, byteOffset, sizeBytes } = this.#mapping
    this.words = new Int32Array(buffer, byteOffset, sizeBytes / 4)
    this.doubles = new Float64Array(buffer, byteOffset, sizeBytes / 8)
    this.#bits = new BigInt64Array(buffer, byteOffset, sizeBytes / 8)
    this.bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, sizeBytes)
    const redoWord = redoOffset / 4
    const redoEnd = redoWord + redoSizeBytes / 4
    this.#redo0 = this.words.subarray(redoWord, redoEnd)
    this.#redo1 = this.words.subarray(redoEnd, redoEnd + redoSizeBytes / 4)
    this.#commits = 0
    this.state = stateDouble
    this.next = stateDouble + stateSizeDoubles
    this.adopt()
  }

  /** Takes over what others committed. */
  adopt(): void {
    const commits = Atomics.load(this.words, currentWord)
    if (commits !== this.#commits) this.#areAlike = false
    this.#commits = commits
    const current = this.#commits & 1
    this.state = stateDouble + current * stateSizeDoubles
    this.next = stateDouble + (1 - current) * stateSizeDoubles
  }

  /** How often a state was committed, by whomever, as this one knows it: a number of 32 bits. */
  get commits(): number {
    return this.#commits
  }

  /** A field as the writer knows it. */
  get(field: number): number {
    return this.doubles[this.state + field]
  }

  /** A field as last committed by whomever, for those who do not hold the writer's word. */
  read(field: number): number {
    for (;;) {
      this.adopt()
      const value = this.doubles[this.state + field]
      if (Atomics.load(this.words, currentWord) === this.#commits) return value
    }
  }

  /** All fields as of one commit. */
  readState(): Float64Array {
    for (;;) {
      this.adopt()
      const fields = this.doubles.slice(this.state, this.state + stateFieldCount)
      // A state is written only after another commit made the other one count.
      if (Atomics.load(this.words, currentWord) === this.#commits) return fields
    }
  }

  /** Sets a field of the state to come; between {@link begin} and {@link commit} only. */
  set(field: number, value: number): void {
    this.doubles[this.next + field] = value
  }

  begin(): void {
    const { doubles, state, next } = this
    // Also where the change is given up before it is committed.
    this.#areAlike = false
    doubles.copyWithin(next, state, state + stateFieldCount)
    this.#announceNothing()
  }

  /**
   * As {@link begin}, for an update in place, which sets the sequence, the version, the digest, the bytes of
   * values and the last record, all of them, and what it announces. Behind another one all other fields are the
   * same in both states. To be committed by {@link commitInPlace}.
   */
  beginInPlace(): void {
    if (this.#areAlike) this.#announceNothing()
    else this.begin()
  }

  commitInPlace(): void {
    this.commit()
    this.#areAlike = true
  }

  #announceNothing(): void {
    const { doubles, next } = this
    doubles[next + pendingKind] = changeNone
    doubles[next + pendingOrder] = 0
    doubles[next + pendingDeadSlot] = -1
    doubles[next + pendingKeyspace] = -1
    doubles[next + pendingDeadValueSlot] = -1
    doubles[next + pendingLiveValueSlot] = -1
    doubles[next + pendingFreedSlot] = -1
  }

  /** The one store that makes the prepared state count. */
  commit(): void {
    const { next } = this
    this.next = this.state
    this.state = next
    this.#commits = (this.#commits + 1) | 0
    publishWord(this.words, currentWord, this.#commits)
  }

  /** The redo area of the state to come. */
  get nextRedo(): Int32Array {
    return this.next === stateDouble ? this.#redo0 : this.#redo1
  }

  /** That of the state that counts. */
  get redo(): Int32Array {
    return this.state === stateDouble ? this.#redo0 : this.#redo1
  }

  /** First byte of the redo area of a state. */
  redoStart(state: number): number {
    return state === stateDouble ? redoOffset : redoOffset + redoSizeBytes
  }

  /** Raises a double of the file that is no state's; no writer's word is needed. */
  raise(double: number, value: number): void {
    // Of positive doubles the greater one has the greater bits.
    const bits = new BigInt64Array(Float64Array.of(value).buffer)[0]
    for (;;) {
      const before = Atomics.load(this.#bits, double)
      if (before >= bits || Atomics.compareExchange(this.#bits, double, before, bits) === before) {
        return
      }
    }
  }

  get isPoisoned(): boolean {
    // Plain: asked before every write, and whoever is told a moment later is told in time.
    return this.words[poisonedWord] !== 0
  }

  /** I10: from here on no write is accepted, by anybody, until another recovery. */
  poison(cause: string): void {
    const text = Buffer.from(cause, 'utf8').subarray(0, poisonCauseSizeBytes - 1)
    this.bytes.fill(0, poisonCauseOffset, poisonCauseOffset + poisonCauseSizeBytes)
    text.copy(this.bytes, poisonCauseOffset)
    Atomics.store(this.words, poisonedWord, 1)
  }

  poisonCause(): string {
    return readText(this.bytes, poisonCauseOffset, poisonCauseSizeBytes)
  }

  get isSessionOpen(): boolean {
    return Atomics.load(this.words, sessionWord) !== 0
  }

  setSessionOpen(open: boolean): void {
    Atomics.store(this.words, sessionWord, open ? 1 : 0)
  }

  close(): void {
    this.#mapping.unmap()
    this.file.close()
  }
}

/** Zero-padded text of a fixed field. */
export function readText(bytes: Buffer, offset: number, sizeBytes: number): string {
  const field = bytes.subarray(offset, offset + sizeBytes)
  const end = field.indexOf(0)
  return field.subarray(0, end === -1 ? sizeBytes : end).toString('utf8')
}

export function writeText(bytes: Buffer, offset: number, sizeBytes: number, text: string): void {
  bytes.fill(0, offset, offset + sizeBytes)
  bytes.write(text, offset, sizeBytes - 1, 'utf8')
}
