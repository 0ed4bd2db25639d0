import { reopenRow, rows } from './rows.mjs'

/**
 * The table: a line for each row, a column for each engine, times for one operation with their
 * ratio to the first engine's.
 *
 * @param {object} results
 * @param {string[]} results.engineNames the first is what the others are compared with
 * @param {Record<string, string>} results.versions
 * @param {Record<string, Record<string, import('./measure.mjs').Cell>>} results.cells
 */
export function formatTable({ engineNames, versions, cells }) {
  const [baselineName, ...peerNames] = engineNames
  const header = ['', ...engineNames.map((name) => `${name} ${versions[name]}`), 'hash']
  const lines = Object.entries(cells).map(([rowName, row]) => {
    const baseline = row[baselineName]
    const columns = peerNames.map((name) => formatCell(row[name], baseline))
    return [rowName, formatCell(baseline), ...columns, Object.values(row)[0]?.hash ?? '']
  })
  return alignColumns([header, ...lines])
}

function formatCell(cell, baseline) {
  if (!cell) return '-'
  const duration = formatDuration(cell.medianNs)
  if (!baseline) return duration
  return `${duration} ${(cell.medianNs / baseline.medianNs).toFixed(2).padStart(7)}x`
}

export function formatDuration(durationNs) {
  if (durationNs < 10_000) return `${durationNs.toFixed(0)} ns`
  if (durationNs < 10_000_000) return `${(durationNs / 1e3).toFixed(1)} µs`
  return `${(durationNs / 1e6).toFixed(1)} ms`
}

function alignColumns(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines
    .map((line) =>
      line
        .map((text, column) =>
          column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]),
        )
        .join('  '),
    )
    .join('\n')
}

/** What each row has on the clock. @param {string[]} rowNames */
export function formatLegend(rowNames) {
  const width = Math.max(...rowNames.map((name) => name.length))
  return [...rows, reopenRow]
    .filter(({ name }) => rowNames.includes(name))
    .map(({ name, note }) => `${name.padEnd(width)}  ${note}`)
    .join('\n')
}
