/** varve put: stores one value, from the command line or from stdin. */
import { type Command, Option } from 'commander'
import { keyEncodingNames, valueEncodingNames } from '../../store/encoding.js'
import { Failure } from '../failure.js'
import { keyNotation, parseKey } from '../key.js'
import { keyspaceOption, parseCount, pathDescription } from '../options.js'
import { say } from '../output.js'
import { type Encodings, keyspaceOrNew, openOrCreate } from '../store-access.js'
import { quoted } from '../text.js'
import { parseValue } from '../value.js'

interface PutOptions extends Encodings {
  readonly keyspace?: string
  readonly jsonValue?: true
  readonly ifAbsent?: true
  readonly ifVersion?: number
  readonly ttlMs?: number
}

export function addPut(program: Command): void {
  program
    .command('put')
    .description('store a value under a key; makes the store where there is none')
    .argument('<path>', pathDescription)
    .argument('<key>', keyNotation)
    .argument('[value]', 'the value; read from stdin, to its end, where it is left out')
    .addOption(keyspaceOption())
    .addOption(
      new Option('--encoding <name>', 'encoding of values, for a new store or keyspace').choices(
        valueEncodingNames,
      ),
    )
    .addOption(
      new Option('--key-encoding <name>', 'encoding of keys, for a new store or keyspace').choices(
        keyEncodingNames,
      ),
    )
    .option('--json-value', 'the value is JSON; only for the encodings json and msgpack')
    .addOption(
      new Option('--if-absent', 'store only where the key is missing').conflicts('ifVersion'),
    )
    .addOption(
      new Option('--if-version <version>', 'store only over this version').argParser(parseCount),
    )
    .addOption(
      new Option(
        '--ttl-ms <milliseconds>',
        'the key is missing from so long after now on; without it, it stays',
      ).argParser(parseCount),
    )
    .addHelpText(
      'after',
      `
The value is text, or bytes for the encoding "binary"; with --json-value it is what the JSON says. A
new store has the encoding "msgpack" and the key encoding "utf8"; it remembers both.
Exit code 1 where a condition did not hold: nothing is stored then.`,
    )
    .action(put)
}

async function put(
  path: string,
  keyText: string,
  valueText: string | undefined,
  options: PutOptions,
): Promise<void> {
  const bytes = valueText === undefined ? await readStdin() : Buffer.from(valueText)
  const encodings = givenEncodings(options)
  await using store = openOrCreate(path, options.keyspace, encodings)
  const keyspace = keyspaceOrNew(store, options.keyspace, encodings)
  const { encoding, keyEncoding } = keyspace.encodings
  const key = parseKey(keyText, keyEncoding)
  const value = parseValue(bytes, encoding, options.jsonValue === true)
  const { ifAbsent, ifVersion, ttlMs } = options
  const isStored = keyspace.put(key, value, {
    ...(ifAbsent === undefined ? {} : { ifAbsent }),
    ...(ifVersion === undefined ? {} : { ifVersion }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  })
  if (isStored) return
  const version = keyspace.getEntry(key)?.version
  const found = version === undefined ? 'is missing' : `has version ${version}`
  throw new Failure(`nothing was stored: key ${quoted(keyText)} ${found}`)
}

function givenEncodings({ encoding, keyEncoding }: PutOptions): Encodings {
  return {
    ...(encoding === undefined ? {} : { encoding }),
    ...(keyEncoding === undefined ? {} : { keyEncoding }),
  }
}

async function readStdin(): Promise<Buffer> {
  if (process.stdin.isTTY) say('Type the value; Ctrl-D ends it.')
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
