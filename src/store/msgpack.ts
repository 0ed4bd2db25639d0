/**
 * Values as MessagePack. With `'msgpack'` every value is whole in itself: an object is written with the
 * names of its fields. With `'msgpack-shared'` the names of fields that are seen again are kept once in
 * the store, as a structure, and values refer to it by a number.
 *
 * Structures are only ever added, each in the log before the first value that refers to it: what a crash
 * leaves of the log has the structures of all its values. They are those of one store, so values go from one
 * to another decoded.
 */
import { Packr } from 'msgpackr'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { addStructures, readStructures, type Structures } from '../engine/structures.js'
import { decodeNumber, encodeNumber } from './number-value.js'

export const sharedMsgpackName = 'msgpack-shared'

// Records keep objects apart from Maps; moreTypes keeps sets, errors and the like.
const typeOptions = { useRecords: true, moreTypes: true } as const
const packr = new Packr(typeOptions)

export function encodeMsgpack(value: unknown): Uint8Array {
  return encodeBy(packr, value)
}

export function decodeMsgpack(bytes: Buffer): unknown {
  return decodeBy(packr, bytes)
}

/** Objects that are used as tables have a new structure each; these must not drive out all others. */
const structuresMax = 64
const structureLengthMax = 512

/** Where structures are kept; the two functions of msgpackr's options. */
interface StructureStore {
  load(): Structures
  /** False, and nothing kept, where another one was first: `isCompatible` says so of what there is. */
  save(structures: Structures, isCompatible: (there: Structures) => boolean): boolean
}

/** What msgpackr offers to be saved; its types know it as objects. */
type OfferedStructures = string[][] & { isCompatible(there: Structures): boolean }

/** The encoding `'msgpack-shared'` of one store; a custom encoding to whoever does not look closer. */
export class SharedMsgpack {
  readonly #packr: Packr

  constructor({ load, save }: StructureStore) {
    this.#packr = new Packr({
      ...typeOptions,
      maxSharedStructures: structuresMax,
      shouldShareStructure,
      getStructures: () => load().map((fields) => [...fields]),
      saveStructures: (all) => {
        const structures = all as OfferedStructures
        return save(
          structures.map((fields) => [...fields]),
          structures.isCompatible,
        )
      },
    })
  }

  encode(value: unknown): Uint8Array {
    return encodeBy(this.#packr, value)
  }

  decode(bytes: Buffer): unknown {
    return decodeBy(this.#packr, bytes)
  }
}

function shouldShareStructure(fields: string[]): boolean {
  let length = 0
  for (const field of fields) {
    if (!field.isWellFormed()) return false
    length += field.length
  }
  return length <= structureLengthMax
}

const encodings = new WeakMap<Engine, SharedMsgpack>()

/** The encoding `'msgpack-shared'` of this store. */
export function sharedMsgpackOf(engine: Engine): SharedMsgpack {
  const known = encodings.get(engine)
  if (known !== undefined) return known
  const made = new SharedMsgpack({
    load: () => readStructures(engine),
    save: (structures, isCompatible) => addStructures(engine, structures, isCompatible),
  })
  encodings.set(engine, made)
  return made
}

function encodeBy(coder: Packr, value: unknown): Uint8Array {
  if (typeof value === 'number') return encodeNumber(value)
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new TypeError(
      `value is ${shown(value)}; encoding "msgpack" accepts what MessagePack can carry`,
    )
  }
  try {
    const bytes = coder.pack(value)
    if (mayHoldLoneSurrogate(bytes) && hasLoneSurrogate(value)) {
      throw new TypeError('a string in it has a lone surrogate, which UTF-8 cannot carry')
    }
    return bytes
  } catch (error) {
    // Of the store, where a new structure could not be kept.
    if (error instanceof StoreError) throw error
    throw new TypeError(`value cannot be encoded as msgpack: ${String(error)}`, { cause: error })
  }
}

function decodeBy(coder: Packr, bytes: Buffer): unknown {
  return decodeNumber(bytes, 0, bytes.length) ?? coder.unpack(bytes)
}

const replacementCharacter = Buffer.from('\ufffd')
const firstByteOfSurrogates = 0xed
const firstByteOfReplacement = 0xef

/**
 * msgpackr writes a lone surrogate as a replacement or as it is: what to look for in the bytes. A single byte
 * is found in a quarter of the time that several take.
 */
function mayHoldLoneSurrogate(bytes: Buffer): boolean {
  if (bytes.includes(firstByteOfSurrogates)) return true
  return bytes.includes(firstByteOfReplacement) && bytes.includes(replacementCharacter)
}

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed()
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (value instanceof Map) return [...value].some(hasLoneSurrogate)
  if (Array.isArray(value) || value instanceof Set) return [...value].some(hasLoneSurrogate)
  return Object.entries(value).some(hasLoneSurrogate)
}
