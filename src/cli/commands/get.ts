/** varve get: one value, as it is. */
import type { Command } from 'commander'
import { Failure } from '../failure.js'
import { keyAsJson, keyNotation, parseKey } from '../key.js'
import { jsonOption, keyspaceOption, pathDescription } from '../options.js'
import { print, printJson } from '../output.js'
import { existingKeyspace, openForReading } from '../store-access.js'
import { quoted } from '../text.js'
import { valueAsContent, valueAsJson } from '../value.js'

interface GetOptions {
  readonly keyspace?: string
  readonly json?: true
}

export function addGet(program: Command): void {
  program
    .command('get')
    .description('print the value of a key')
    .argument('<path>', pathDescription)
    .argument('<key>', keyNotation)
    .addOption(keyspaceOption())
    .addOption(jsonOption('one object: value, version, sequence, time, time of expiry and size'))
    .addHelpText(
      'after',
      `
Bytes are printed as they are. Text is followed by a line break. Any other value is printed as JSON,
in which MessagePack's bytes stand as base64, a Map as an object, a Set as an array and a Date as
ISO 8601. With --json, a value that is bytes is called "valueBase64".
Exit code 1 where the key is missing.`,
    )
    .action(get)
}

async function get(path: string, keyText: string, options: GetOptions): Promise<void> {
  await using store = openForReading(path)
  const keyspace = existingKeyspace(store, options.keyspace)
  const key = parseKey(keyText, keyspace.encodings.keyEncoding)
  const entry = keyspace.getEntry(key)
  if (entry === undefined) throw new Failure(`there is no key ${quoted(keyText)}`)
  const { value, ...facts } = entry
  if (options.json === true) {
    await printJson({ ...facts, key: keyAsJson(key), ...valueAsJson(value) })
    return
  }
  const content = valueAsContent(value)
  await print(typeof content === 'string' ? `${content}\n` : content)
}
