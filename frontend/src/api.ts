// Requests to the console: JSON both ways, and what goes wrong in the server's own words.

import { at } from './router'

export interface ProblemBody {
  reason: string
  message: string
  hint: string
}

export class Problem extends Error implements ProblemBody {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly hint: string,
  ) {
    super(message)
  }
}

interface Known {
  user: string
  csrf: string
  /** Of who started the console, and of nobody else. */
  isLocal: boolean
}

let known: Known = { user: '', csrf: '', isLocal: false }

export function rememberSession(session: Known): void {
  known = { user: session.user, csrf: session.csrf, isLocal: session.isLocal }
}

export function ask<T>(path: string): Promise<T> {
  return send<T>('GET', at(path))
}

/** Given up with `signal`, after which nothing more comes of it but an error that nobody is told. */
export function act<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return send<T>('POST', at(path), body, signal)
}

/** The same of the console as a whole, of whichever cluster this page is. */
export function askConsole<T>(path: string): Promise<T> {
  return send<T>('GET', path)
}

async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  isAgain = false,
): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: {
        'x-shipkeeper-csrf': known.csrf,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch {
    throw new Problem(
      0,
      'ConsoleAway',
      'the console does not answer',
      'does `shipkeeper serve` still run? Its output says why it ended.',
    )
  }
  const text = await response.text()
  let told: unknown
  try {
    told = text ? JSON.parse(text) : undefined
  } catch {
    told = undefined
  }
  if (!response.ok) {
    const said = (told ?? {}) as Partial<ProblemBody>
    if (said.reason === 'NoCsrfToken' && !isAgain && (await isStillIn())) return send<T>(method, path, body, signal, true)
    throw new Problem(
      response.status,
      said.reason ?? 'Error',
      said.message ?? `the console answered ${response.status}`,
      said.hint ?? '',
    )
  }
  return told as T
}

/** Whether the same person is logged in: another tab may have begun a new session, also of somebody else. */
async function isStillIn(): Promise<boolean> {
  const found = await ask<Known>('/api/session')
  if (!found.isLocal && found.user !== known.user) return false
  rememberSession(found)
  return true
}

export function asProblem(error: unknown): ProblemBody {
  if (error instanceof Problem) return error
  return { reason: 'Bug', message: String(error), hint: 'reload the page; please report it' }
}
