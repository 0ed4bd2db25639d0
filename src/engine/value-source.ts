/**
 * A value to be read piece by piece, as it was when it was opened, whatever becomes of the key and of
 * the store.
 *
 * A small one is copied at once. A larger one is read from its file: records of more than the redo area
 * are never updated in place, and a file that is open keeps its bytes when its segment is dropped.
 */
import { corrupt, systemErrorCode } from '../base/errors.js'
import { redoSizeBytes } from '../format/control-layout.js'
import type { PlatformFile } from '../platform/platform.js'
import type { Engine } from './engine.js'
import { find, getBytes, isStable, locateValue } from './read.js'
import { viewed, viewValue } from './view.js'

export interface ValueSource {
  readonly sizeBytes: number
  /** Fills `target` with the bytes from `position` on, which are there. */
  read(target: Uint8Array, position: number): Promise<void>
  close(): void
}

const copiedSizeBytesMax = 4 * redoSizeBytes

/** The value of the key at hand, or undefined. */
export function openValue(engine: Engine, keyspaceId: number): ValueSource | undefined {
  engine.requireOpen()
  const { log, lookup, platform } = engine
  for (;;) {
    if (!find(engine, keyspaceId)) return undefined
    locateValue(engine)
    const { valueSizeBytes, valueSlot, valueStart } = lookup
    const first = log.firstSlotOf(valueSlot)
    const path = log.pathOf(first)
    const position = (valueSlot - first) * log.segmentSizeBytes + valueStart
    if (!isStable(engine)) continue
    // One that may not write may have memory of its own, and files others than what it reads.
    if (valueSizeBytes <= copiedSizeBytesMax || log.access === 'private') {
      const bytes = getBytes(engine, keyspaceId)
      return bytes === undefined ? undefined : new HeldBytes(bytes)
    }
    if (platform.kind === 'memory') {
      if (!viewValue(engine, keyspaceId, 1)) return undefined
      return new HeldBytes(new Uint8Array(viewed.buffer, viewed.byteOffset, viewed.sizeBytes))
    }
    try {
      return new FileBytes(platform.openFile(path, 'read'), position, valueSizeBytes)
    } catch (error) {
      // Its segment was dropped: the key has moved.
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
  }
}

class HeldBytes implements ValueSource {
  readonly sizeBytes: number
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.sizeBytes = bytes.length
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    target.set(this.#bytes.subarray(position, position + target.length))
  }

  close(): void {
    // Memory goes when nobody reaches it.
  }
}

class FileBytes implements ValueSource {
  readonly sizeBytes: number
  readonly #file: PlatformFile
  readonly #start: number

  constructor(file: PlatformFile, start: number, sizeBytes: number) {
    this.#file = file
    this.#start = start
    this.sizeBytes = sizeBytes
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    const count = await this.#file.readAsync(target, this.#start + position)
    if (count === target.length) return
    throw corrupt(this.#file.path, this.#start + position + count, 'the file is cut short')
  }

  close(): void {
    this.#file.close()
  }
}
