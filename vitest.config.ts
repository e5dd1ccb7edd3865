import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    pool: 'forks',
    // A loaded machine with two cores starts a child process in a second; a test that waits longer than this waits for nothing.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    disableConsoleIntercept: true,
  },
})
