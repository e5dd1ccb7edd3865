/** An engine that declines everything: what a scenario expects of its subject fails. */
export async function createEngine() {
  return {
    handle: async () => ({ status: 402, headers: { 'content-type': 'application/problem+json' }, body: '{"state":"declined"}' }),
    start: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
  }
}
