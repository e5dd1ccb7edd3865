import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    pool: 'forks',
    // Many wait for processes and real time: one more than vitest takes on two cores keeps them busy.
    maxWorkers: 2,
    // A loaded machine with two cores starts a child process in a second; a test that waits longer than this waits for nothing.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    disableConsoleIntercept: true,
    // What was built is imported as Node does it: it is what users run, and oclif imports it so as well.
    server: { deps: { external: [/\/dist\//] } },
  },
})
