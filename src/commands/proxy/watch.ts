import { SystemClock } from '../../clock.ts'
import type { Event } from '../../events.ts'
import type { ProxyClient } from '../../lab/proxy-client.ts'
import { ProxyWatch as Watch, showWatch, WATCH_PATIENCE_MS } from '../../lab/proxy-watch.ts'
import { wallLine } from '../../lab/standing.ts'
import { visible } from '../../visible.ts'
import { BaseCommand } from '../base.ts'
import type { ExitCode } from '../failure.ts'
import { controlFlags, controlUrl, withClient } from '../proxy-flags.ts'

export default class ProxyWatch extends BaseCommand<typeof ProxyWatch> {
  static override summary = 'watch a running chaos proxy: its traffic, its toxics and what they do'
  static override description =
    'On a terminal a screen, on which keys 1 to 9 take toxics away and put them back, ? lists the keys and q leaves. When the proxy dies the screen says so, and since when; it goes on when the proxy is back. Elsewhere, and with --json, the lines of the journal as they come, until it is interrupted.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --control http://127.0.0.1:18474 --json']
  static override flags = controlFlags

  protected work(): Promise<ExitCode> {
    return withClient(this.flags, (client) => this.#watch(client), WATCH_PATIENCE_MS)
  }

  async #watch(client: ProxyClient): Promise<ExitCode> {
    const clock = new SystemClock()
    const watch = new Watch(client, controlUrl(this.flags), clock)
    if (this.screen) {
      const { left, story, off } = await showWatch(watch, { clock, signal: this.interrupted, terminal: { out: process.stdout, input: process.stdin, colour: this.colour } })
      this.answer(story)
      for (const { proxy, toxic } of off) this.answer(`still off: ${visible(proxy)}: ${visible(toxic.name)}`)
      if (left === 'interrupted') this.interrupt()
      return 0
    }
    await watch.look()
    let lost = false
    watch.subscribe((event: Event) => {
      if (event.type === 'watch.polled') {
        if (lost) this.say(`${watch.url} answers again`)
        lost = false
        return
      }
      this.emit(event)
      if (event.type === 'watch.lost') {
        lost = true
        this.say(visible(event['why']))
      } else {
        const told = wallLine(event)
        if (told !== undefined) this.answer(told)
      }
    })
    await watch.follow(this.interrupted)
    return 0
  }
}
