/** Running the command as a user does: another process, its exit code, its two outputs. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const mainPath = fileURLToPath(new URL('../../linked/src/cli/main.js', import.meta.url))

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string | Uint8Array
  readonly cwd?: string
  /** Whose rights the command has. */
  readonly uid?: number
  readonly gid?: number
}

export function varve(args: readonly string[], options: RunOptions = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [mainPath, ...args], {
    encoding: 'utf8',
    ...options,
    input: options.input ?? '',
  })
  return { exitCode: status, stdout, stderr }
}
