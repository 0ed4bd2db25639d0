/** What the opening of a store found and did, in words. */
import type { RecoveryReport } from '../store/index.js'
import { counted, formatBytes, formatMs } from './quantities.js'

const kinds: Readonly<Record<RecoveryReport['kind'], string>> = {
  created: 'a new store',
  attached: 'none needed: the store is open elsewhere',
  clean: 'none needed: the store had been closed',
  'same-boot': 'after a killed process: memory was as it left it',
  replay: 'the log was read again',
}

export function recoveryInWords(report: RecoveryReport): string {
  const { bytesDropped, checkpoint, durationMs, kind, passedOver, recordsReplayed, rows } = report
  const from = checkpoint === undefined ? '' : `, from checkpoint ${checkpoint}`
  const read = kind === 'replay' ? `${from}, ${counted(recordsReplayed, 'record')}` : ''
  const dropped = bytesDropped === 0 ? '' : `, ${formatBytes(bytesDropped)} dropped`
  const passed =
    passedOver.length === 0 ? '' : `, ${counted(passedOver.length, 'checkpoint')} passed over`
  return `${kinds[kind]}${read}${dropped}${passed} (${formatMs(durationMs)}; ${rows.join(', ')})`
}
