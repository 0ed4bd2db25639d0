/** What hosts can do: see hosts.ts. Arguments and results are plain data. */
import { runClient } from './client.js'
import * as counter from './counter-tasks.js'
import { readAll } from './final-reader.js'
import * as holding from './holding-tasks.js'
import * as steps from './step-tasks.js'
import * as storm from './storm-tasks.js'

/** Says something before the task ends. */
export type Tell = (what: unknown) => void

const tasks = { runClient, readAll, ...counter, ...holding, ...storm, ...steps }

type Tasks = typeof tasks
export type TaskName = keyof Tasks
export type TaskArgument<N extends TaskName> = Parameters<Tasks[N]>[0]
export type TaskResult<N extends TaskName> = Awaited<ReturnType<Tasks[N]>>

export async function runTask(task: TaskName, argument: unknown, tell: Tell): Promise<unknown> {
  const action = tasks[task] as (argument: unknown, tell: Tell) => unknown
  return await action(argument, tell)
}
