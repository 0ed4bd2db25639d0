/** Lines that replace each other on a terminal, and follow each other everywhere else. */
import { print } from './output.js'

const eraseAll = '\u001b[2J'
const toTop = '\u001b[H'
const eraseRestOfLine = '\u001b[K'
const eraseBelow = '\u001b[J'
const rowsDefault = 24

export class Screen {
  #isDrawn = false

  /** Draws a block in the place of the one before, or prints it behind it, an empty line between. */
  async show(lines: readonly string[]): Promise<void> {
    const isFirst = !this.#isDrawn
    this.#isDrawn = true
    if (!process.stdout.isTTY) {
      await print(`${isFirst ? '' : '\n'}${lines.join('\n')}\n`)
      return
    }
    // A terminal without a size says 0.
    const drawn = fitting(lines, process.stdout.rows || rowsDefault)
    const text = drawn.map((line) => `${line}${eraseRestOfLine}\n`).join('')
    await print(`${isFirst ? eraseAll : ''}${toTop}${text}${eraseBelow}`)
  }
}

/** What would scroll the terminal is left out, and said to be. The cursor takes the last row. */
function fitting(lines: readonly string[], rows: number): readonly string[] {
  const room = Math.max(2, rows - 1)
  if (lines.length <= room) return lines
  return [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} lines more`]
}
