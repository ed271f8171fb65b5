// Who is logged in, and how one logs in.

import { signal } from '@preact/signals'
import { act, ask, asProblem, Problem, rememberCsrf, type ProblemBody } from './api'

export interface PageEntry {
  name: string
  title: string
}

export interface Session {
  user: string
  groups: string[]
  isLocal: boolean
  csrf: string
  cluster: string
  context: string
  version: string
  pages: PageEntry[]
}

/** How one logs in; `certificate` is whom the browser's client certificate names. */
export interface Door {
  way: 'link' | 'token'
  takesCertificates: boolean
  certificate: string | null
}

type State =
  | { kind: 'asking' }
  | { kind: 'in'; session: Session }
  | { kind: 'out'; door: Door; was: boolean }
  | { kind: 'away'; problem: ProblemBody }

export const state = signal<State>({ kind: 'asking' })

export async function begin(): Promise<void> {
  try {
    const session = await ask<Session>('/api/session')
    rememberCsrf(session.csrf)
    state.value = { kind: 'in', session }
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      await out(false)
    } else {
      state.value = { kind: 'away', problem: asProblem(error) }
    }
  }
}

export async function out(was: boolean): Promise<void> {
  try {
    state.value = { kind: 'out', door: await ask<Door>('/api/door'), was }
  } catch (error) {
    state.value = { kind: 'away', problem: asProblem(error) }
  }
}

export async function logIn(token: string): Promise<void> {
  await act('/api/login', { token })
  await begin()
}

export async function logInByCertificate(): Promise<void> {
  await act('/api/login/certificate', {})
  await begin()
}

export async function logOut(): Promise<void> {
  await act('/api/logout', {})
  await out(false)
}
