// Who is logged in, and how one logs in.

import { signal } from '@preact/signals'
import { act, ask, asProblem, Problem, rememberSession, type ProblemBody } from './api'
import { base } from './router'

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
  /** The cluster, of several; and whether whoever started the console is logged in to another. */
  context: string
  isElsewhere: boolean
}

type State =
  | { kind: 'asking' }
  | { kind: 'in'; session: Session }
  | { kind: 'choosing' }
  | { kind: 'out'; door: Door; was: boolean }
  | { kind: 'away'; problem: ProblemBody }

export const state = signal<State>({ kind: 'asking' })

export async function begin(): Promise<void> {
  try {
    const session = await ask<Session>('/api/session')
    rememberSession(session)
    state.value = { kind: 'in', session }
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      await out(false)
    } else if (error instanceof Problem && error.reason === 'NoCluster') {
      state.value = { kind: 'choosing' }
    } else {
      state.value = { kind: 'away', problem: asProblem(error) }
    }
  }
}

export async function out(was: boolean): Promise<void> {
  try {
    const door = await ask<Door>('/api/door')
    if (door.isElsewhere && !was) {
      await act('/api/login/elsewhere', {})
      return await begin()
    }
    state.value = { kind: 'out', door, was }
  } catch (error) {
    state.value = { kind: 'away', problem: asProblem(error) }
  }
}

/** Which cluster this is, of several; to be said wherever something is begun. */
export function inCluster(): string {
  return base && state.value.kind === 'in' ? ` in ${state.value.session.context}` : ''
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
