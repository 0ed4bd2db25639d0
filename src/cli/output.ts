/** Data to stdout, words to stderr. */
import { systemErrorCode } from '../base/errors.js'

const chunkLengthMax = 65_536

/** Whoever read stdout has seen enough: no failure, but nothing more can be printed. */
export class ClosedOutput extends Error {}

/** Resolves when the data is out of this process's hands. */
export function print(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => {
      if (error === null || error === undefined) resolve()
      else reject(systemErrorCode(error) === 'EPIPE' ? new ClosedOutput() : error)
    })
  })
}

export function printLine(line: string): Promise<void> {
  return print(`${line}\n`)
}

export function printJson(facts: object): Promise<void> {
  return printLine(JSON.stringify(facts))
}

/** Prints many lines in few writes, and asks for no more of them than the reader takes. */
export async function printLines(lines: Iterable<string>): Promise<void> {
  let chunk = ''
  try {
    for (const line of lines) {
      chunk += `${line}\n`
      if (chunk.length < chunkLengthMax) continue
      const full = chunk
      chunk = ''
      await print(full)
    }
  } finally {
    // Also where a line could not be had: those before it are as good as ever.
    if (chunk !== '') await print(chunk)
  }
}

export function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
