/** Options that several subcommands have. */
import { InvalidArgumentError, Option } from 'commander'

export const pathDescription = 'directory of the store'

export function keyspaceOption(): Option {
  return new Option('--keyspace <name>', 'a keyspace other than the default one')
}

export function jsonOption(what: string): Option {
  return new Option('--json', `print ${what}`)
}

/** For arguments of options that count something. */
export function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count)) return count
  throw new InvalidArgumentError('It must be a whole number, 0 or more.')
}
