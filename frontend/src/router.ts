// Where the reader is: the path names the page, the query what is looked at there.

import { signal } from '@preact/signals'

/** Of several clusters each has addresses of its own; to change between them is to load a page anew. */
export const base = baseOf(location.pathname)

export interface Place {
  page: string
  rest: string
  query: URLSearchParams
}

export const place = signal<Place>(read())

/** The address of a path in this cluster. */
export function at(path: string): string {
  return base + path
}

export function go(path: string): void {
  history.pushState(null, '', at(path))
  place.value = read()
  window.scrollTo(0, 0)
}

/** Change the query in place: what is filtered and chosen can be bookmarked, and not gone back through. */
export function adjust(changes: Record<string, string>): void {
  const query = new URLSearchParams(location.search)
  for (const [key, value] of Object.entries(changes)) {
    if (value) query.set(key, value)
    else query.delete(key)
  }
  const text = query.toString()
  history.replaceState(null, '', location.pathname + (text ? `?${text}` : ''))
  place.value = read()
}

export function follow(event: MouseEvent): void {
  const anchor = (event.target as Element | null)?.closest('a')
  const isPlain = !event.defaultPrevented && event.button === 0
  const isModified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey
  if (!anchor || !isPlain || isModified || anchor.target || anchor.hasAttribute('download')) return
  // What is another cluster's is loaded anew: nothing that this page knows goes along.
  if (anchor.origin !== location.origin || baseOf(anchor.pathname) !== base) return
  const path = anchor.pathname.slice(base.length)
  if (path.startsWith('/api/')) return
  event.preventDefault()
  go(path + anchor.search)
}

function baseOf(pathname: string): string {
  return /^\/clusters\/[^/]+/.exec(pathname)?.[0] ?? ''
}

function read(): Place {
  const [, page = '', ...rest] = location.pathname.slice(base.length).split('/')
  return {
    page: decodeURIComponent(page),
    rest: rest.map(decodeURIComponent).join('/'),
    query: new URLSearchParams(location.search),
  }
}

window.addEventListener('popstate', () => {
  place.value = read()
})
