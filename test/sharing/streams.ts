/**
 * The streams of a client: registers get values of up to several blocks by writeStream, some from a source
 * that fails; and are read by readStream, which gives what was there when it was made, however late it is
 * read, and whatever was put over it meanwhile.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Store } from '../../src/store/index.js'
import type { Random } from '../support/random.js'
import { registerKey } from './client.js'
import { Intended } from './combined-writes.js'
import type { HistoryWriter } from './history-file.js'
import { bytesOfValue, nameOfBytes, nameOfValue } from './values.js'

type BinaryStore = Store<Buffer>

export interface StreamSetup {
  readonly client: string
  readonly registers: number
  readonly options: { readonly segmentSizeBytes?: number }
}

/** What `readStream` copies at once, and what it reads from the file by and by. */
const copiedSizeBytesMax = 65_536

export class Streams {
  readonly #setup: StreamSetup
  readonly #random: Random
  readonly #history: HistoryWriter
  #count = 0

  constructor(setup: StreamSetup, random: Random, history: HistoryWriter) {
    this.#setup = setup
    this.#random = random
    this.#history = history
  }

  step(store: BinaryStore): Promise<void> {
    const key = registerKey(this.#random.below(this.#setup.registers))
    const roll = this.#random.below(10)
    if (roll < 3) return this.#write(store, key)
    if (roll < 5) return this.#fail(store, key)
    return this.#read(store, key)
  }

  async #write(store: BinaryStore, key: string): Promise<void> {
    const value = this.#newValue()
    const ifAbsent = this.#random.chance(0.2)
    const condition = ifAbsent ? { condition: 'absent' as const } : {}
    const pieces = piecesOf(value, this.#random)
    const write = (): Promise<boolean> => store.writeStream(key, pieces, { ifAbsent })
    await this.#history.runAsync({ kind: 'put', key, value, ...condition }, write, (done) => done)
  }

  /** What it gave before it failed is from nowhere, if anybody ever sees it. */
  async #fail(store: BinaryStore, key: string): Promise<void> {
    const intended = new Intended()
    const source = failing(piecesOf(this.#newValue(), this.#random), intended)
    try {
      await store.writeStream(key, source)
    } catch (error) {
      if (error === intended) return
      throw error
    }
    throw new Error('writeStream resolved, whose source failed')
  }

  async #read(store: BinaryStore, key: string): Promise<void> {
    const { begun, result } = this.#history.begin({ kind: 'get', key }, () => store.readStream(key))
    if (result === undefined) {
      begun.answer(null)
      return
    }
    const pieces: Buffer[] = []
    for await (const piece of result) {
      pieces.push(piece as Buffer)
      // Others have their turn, and put something else there.
      await nextTurn()
    }
    begun.answer([nameOfBytes(Buffer.concat(pieces))])
  }

  #newValue(): string {
    const { client, options } = this.#setup
    const ownSegmentSizeBytes = (options.segmentSizeBytes ?? 2 ** 20) / 4
    let size = 200 + this.#random.below(20_000)
    if (this.#random.chance(0.5)) size = copiedSizeBytesMax + this.#random.below(50_000)
    if (this.#random.chance(0.15)) size = ownSegmentSizeBytes + this.#random.below(300_000)
    return nameOfValue(`${client}.stream`, this.#count++, size)
  }
}

/** The bytes of a value in up to four pieces, asked for one after the other. */
async function* piecesOf(value: string, random: Random): AsyncGenerator<Buffer> {
  const bytes = bytesOfValue(value)
  const size = Math.ceil(bytes.length / (1 + random.below(4)))
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size)
    await nextTurn()
  }
}

async function* failing(pieces: AsyncIterable<Buffer>, error: Error): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    yield piece
    throw error
  }
}
