// The one stream of this tab: keyed values that follow the server's, over lost connections.
//
// It is closed while the tab is hidden, and goes on from the last message that it got.

import { batch, signal } from '@preact/signals'
import { act, ask, Problem, type ProblemBody } from './api'
import { at } from './router'
import { out } from './session'

export interface Trouble {
  message: string
  hint: string
  since: string | null
}

export interface Missing {
  words: string
  canI: string
}

interface Message {
  changes?: {
    set?: Record<string, unknown>
    gone?: string[]
    order?: string[]
    whole?: boolean
  }
  trouble?: Trouble
  missing?: Missing[]
  problem?: ProblemBody
}

export type Query = Record<string, string>
export type Link = 'connecting' | 'live' | 'lost' | 'hidden'

const SILENT = 12_000 // milliseconds after which a connection counts as lost
const AGAIN = 1_000

export class Live {
  readonly items = new Map<string, unknown>()
  order: string[] = []
  readonly version = signal(0)
  readonly link = signal<Link>('connecting')
  readonly heardAt = signal<number | null>(null)
  readonly trouble = signal<Trouble | null>(null)
  readonly missing = signal<Missing[]>([])
  readonly problem = signal<ProblemBody | null>(null)
  readonly isLoaded = signal(false)

  private source: EventSource | null = null
  private last = ''
  private watchdog = 0
  private again = 0
  private turning: Promise<void> | null = null
  private isStale = false
  private isClosed = false

  constructor(
    private readonly page: string,
    private query: Query,
  ) {
    document.addEventListener('visibilitychange', this.onVisibility)
    this.open()
  }

  get<T>(key: string): T | undefined {
    return this.items.get(key) as T | undefined
  }

  /** Values whose key begins with a prefix, in the server's order where it has one. */
  list<T>(prefix: string): T[] {
    const found: T[] = []
    for (const [key, value] of this.items) if (key.startsWith(prefix)) found.push(value as T)
    return found
  }

  /** Look at something else; the newest of several wishes counts. */
  turn(query: Query): void {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return
    this.query = query
    this.isStale = true
    this.turning ??= this.tellQuery().finally(() => {
      this.turning = null
    })
  }

  close(): void {
    this.isClosed = true
    document.removeEventListener('visibilitychange', this.onVisibility)
    this.shut()
  }

  private async tellQuery(): Promise<void> {
    while (this.isStale && !this.isClosed) {
      this.isStale = false
      const stream = this.last.split('.')[0] ?? ''
      if (!stream || !this.source) return this.reopen()
      try {
        await act('/api/look', { stream, query: this.query })
        this.problem.value = null
      } catch (error) {
        if (error instanceof Problem && error.status === 400) this.problem.value = error
        else this.reopen()
      }
    }
  }

  private readonly onVisibility = (): void => {
    if (document.hidden) {
      this.shut()
      this.link.value = 'hidden'
    } else if (!this.source) {
      this.open()
    }
  }

  private reopen(): void {
    this.shut()
    if (!this.isClosed && !document.hidden) this.open()
  }

  private shut(): void {
    window.clearTimeout(this.watchdog)
    window.clearTimeout(this.again)
    this.source?.close()
    this.source = null
  }

  private open(): void {
    const asked = new URLSearchParams(this.query)
    if (this.last) asked.set('last', this.last)
    const source = new EventSource(at(`/api/stream/${this.page}?${asked.toString()}`))
    this.source = source
    this.isStale = false
    if (this.link.value === 'hidden') this.link.value = 'connecting'
    this.rest()
    source.onopen = () => this.rest()
    source.onmessage = (event: MessageEvent<string>) => {
      this.last = event.lastEventId
      this.take(JSON.parse(event.data) as Message)
      this.heard()
    }
    source.addEventListener('beat', () => this.heard())
    source.addEventListener('over', () => {
      this.shut()
      void out(true)
    })
    source.onerror = () => this.lose()
  }

  private heard(): void {
    this.link.value = 'live'
    this.heardAt.value = Date.now()
    this.rest()
  }

  private rest(): void {
    window.clearTimeout(this.watchdog)
    this.watchdog = window.setTimeout(() => this.lose(), SILENT)
  }

  private lose(): void {
    this.shut()
    if (this.isClosed || document.hidden) return
    this.link.value = 'lost'
    this.again = window.setTimeout(() => void this.askWhy(), AGAIN)
  }

  /** A stream that does not open tells no reason: a plain request does. */
  private async askWhy(): Promise<void> {
    try {
      await ask('/api/session')
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return void out(true)
    }
    if (!this.isClosed && !document.hidden) this.open()
  }

  private take(message: Message): void {
    batch(() => {
      this.trouble.value = message.trouble ?? null
      this.missing.value = message.missing ?? []
      this.problem.value = message.problem ?? null
      const changes = message.changes
      if (!changes) return
      if (changes.whole) this.items.clear()
      for (const key of changes.gone ?? []) this.items.delete(key)
      for (const [key, value] of Object.entries(changes.set ?? {})) this.items.set(key, value)
      if (changes.order) this.order = changes.order
      else if (changes.whole) this.order = []
      this.isLoaded.value = true
      this.version.value++
    })
  }
}
