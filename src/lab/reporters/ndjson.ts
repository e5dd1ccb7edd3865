import type { Reporter } from '../reporter.ts'

/** One event a line, as it is: the same lines that the recording holds. The line that ends a run is `run.ended`. */
export const reporter: Reporter = {
  summary: 'one event a line, as JSON, the verdict last; for programs',
  open: ({ write }) => ({ event: (event) => write(`${JSON.stringify(event)}\n`) }),
}
