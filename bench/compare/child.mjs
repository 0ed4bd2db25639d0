import { fork } from 'node:child_process'
import { once } from 'node:events'

/**
 * Starts a module in a process of its own, with the garbage collector at its command.
 *
 * @param {string} module a path
 * @param {object} task what the module finds in its first argument, as JSON
 */
export function startChild(module, task) {
  return fork(module, [JSON.stringify(task)], { execArgv: ['--expose-gc'] })
}

/**
 * The first message of a child that was just started.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
export async function receiveAnswer(child) {
  // The exit alone can be seen before a message that was sent earlier.
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')])
  const failed = ended.then(([[code, signal]]) => {
    throw new Error(`${child.spawnargs.at(-1)} ended with ${signal ?? `exit code ${code}`}`)
  })
  const [answer] = await Promise.race([once(child, 'message'), failed])
  return answer
}

/**
 * Runs a module to its end in a process of its own and gives the message that it sent.
 *
 * @param {string} module a path
 * @param {object} task
 */
export async function runChild(module, task) {
  const child = startChild(module, task)
  const exited = once(child, 'exit')
  const answer = await receiveAnswer(child)
  const [code, signal] = await exited
  if (code !== 0) throw new Error(`${module} ended with ${signal ?? `exit code ${code}`}`)
  return answer
}
