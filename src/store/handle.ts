/** What `share()` gives: enough to open the same store elsewhere, as plain data. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { libcFailure } from '../platform/libc.js'
import type { MemoryHandle } from '../platform/platform.js'
import { memoryPath } from '../recovery/open-store.js'
import {
  customEncodingName,
  isKeyEncoding,
  type KeyEncoding,
  keyEncodingNames,
  type ValueEncodingName,
  valueEncodingNames,
} from './encoding.js'

/** Opens the store that it was made of, here or in another thread. See `share()`. */
export interface StoreHandle {
  /** A directory's absolute path, or `:memory:`. */
  readonly path: string
  /** `'custom'` for functions, which cannot be posted: `open` needs them as an option then. */
  readonly encoding: ValueEncodingName | 'custom'
  readonly keyEncoding: KeyEncoding
  /** For `:memory:`: where the memory is. Means nothing in another process. */
  readonly memory?: MemoryHandle
}

type Encodings = Pick<StoreHandle, 'encoding' | 'keyEncoding'>

/** Throws `TypeError` where no other thread can open the store. */
export function handleOf(engine: Engine, encodings: Encodings): StoreHandle {
  const { directory: path, platform } = engine
  const { encoding, keyEncoding } = encodings
  if (platform.kind === 'mmap') return { path, encoding, keyEncoding }
  if (platform.memoryHandle !== undefined) {
    return { path: memoryPath, encoding, keyEncoding, memory: { ...platform.memoryHandle } }
  }
  const what =
    platform.kind === 'file'
      ? `the store in ${path} is not mapped into memory`
      : 'this store is in memory that only its thread can reach'
  throw new TypeError(
    `${what}, so nobody can share it; accepted: a mapped store (stats().mapping is "mmap"), which may lie on a file system in memory such as /dev/shm`,
    { cause: libcFailure() },
  )
}

/** Throws `TypeError` for what no `share()` gave. */
export function requireHandle(value: unknown): StoreHandle {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notHandle(value)
  const { path, encoding, keyEncoding, memory } = value as Record<string, unknown>
  const isWhole =
    typeof path === 'string' &&
    typeof encoding === 'string' &&
    [...valueEncodingNames, customEncodingName].some((name) => name === encoding) &&
    isKeyEncoding(keyEncoding) &&
    (path === memoryPath ? isMemoryHandle(memory) : memory === undefined)
  if (!isWhole) throw notHandle(value)
  return value as StoreHandle
}

function isMemoryHandle(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { processId, descriptor, identity } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(processId) &&
    Number.isSafeInteger(descriptor) &&
    (descriptor as number) >= 0 &&
    typeof identity === 'string'
  )
}

function notHandle(value: unknown): TypeError {
  return new TypeError(
    `path is ${shown(value)}; accepted: a directory's path, ":memory:", or what share() of a store gave, unchanged (encodings: ${[...valueEncodingNames, customEncodingName].join(', ')}; ${keyEncodingNames.join(', ')})`,
  )
}
