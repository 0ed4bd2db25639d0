/**
 * A file on a medium that does not give all of it back: what cannot be read is read again sector by
 * sector, and reads as zeros where even that fails, which no record verifies as. Each stretch that
 * could not be read is said once.
 */
import { systemErrorCode } from '../base/errors.js'
import type { ReadableFile } from '../log/segment-reader.js'
import type { Platform } from '../platform/platform.js'
import type { Problems } from '../verify/problems.js'

const sectorSizeBytes = 512

export class PatientFile implements ReadableFile {
  readonly #file: ReadableFile & { close(): void }
  readonly #problems: Problems
  /** Numbers of the sectors that could not be read. */
  readonly #unreadable = new Set<number>()

  constructor(file: ReadableFile & { close(): void }, problems: Problems) {
    this.#file = file
    this.#problems = problems
  }

  get path(): string {
    return this.#file.path
  }

  sizeBytes(): number {
    return this.#file.sizeBytes()
  }

  read(target: Uint8Array, position: number): number {
    try {
      return this.#file.read(target, position)
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error
    }
    const size = Math.max(0, Math.min(target.byteLength, this.sizeBytes() - position))
    for (let done = 0; done < size; ) {
      const sector = Math.floor((position + done) / sectorSizeBytes)
      const end = Math.min(size, (sector + 1) * sectorSizeBytes - position)
      this.#readSector(target.subarray(done, end), position + done, sector)
      done = end
    }
    return size
  }

  close(): void {
    this.#file.close()
  }

  #readSector(target: Uint8Array, position: number, sector: number): void {
    try {
      this.#file.read(target, position)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === undefined) throw error
      target.fill(0)
      const isSaid = this.#unreadable.has(sector) || this.#unreadable.has(sector - 1)
      this.#unreadable.add(sector)
      if (!isSaid)
        this.#problems.add(this.path, sector * sectorSizeBytes, `it cannot be read: ${code}`)
    }
  }
}

/** Throws what the system says where the file cannot even be opened. */
export function openPatiently(platform: Platform, path: string, problems: Problems): PatientFile {
  return new PatientFile(platform.openFile(path, 'read'), problems)
}
