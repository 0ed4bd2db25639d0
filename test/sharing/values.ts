/** Values that say who wrote them, in every byte: a value made of two is recognised. */

/** The bytes of a value: its name, again and again. The name ends with its size. */
export function bytesOfValue(name: string): Buffer {
  return Buffer.alloc(sizeOf(name), `${name}|`)
}

/** A name for a value of about this size. */
export function nameOfValue(client: string, count: number, sizeBytes: number): string {
  const name = `${client}.${count}.`
  // Room for name, size and separator.
  return `${name}${Math.max(sizeBytes, name.length + 10)}`
}

/** The name of a value that was read; one that nobody wrote where the bytes are not all of one. */
export function nameOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = buffer.indexOf('|')
  const name = buffer.toString('latin1', 0, end === -1 ? 40 : end)
  const isWhole = end > 0 && sizeOf(name) === buffer.byteLength && bytesOfValue(name).equals(buffer)
  return isWhole ? name : `torn value of ${buffer.byteLength} bytes that begins with ${name}`
}

function sizeOf(name: string): number {
  const size = Number(name.slice(name.lastIndexOf('.') + 1))
  return Number.isSafeInteger(size) && size > 0 && size < 2 ** 28 ? size : 1
}
