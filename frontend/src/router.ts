// Where the reader is: the path names the page, the query what is looked at there.

import { signal } from '@preact/signals'

export interface Place {
  page: string
  rest: string
  query: URLSearchParams
}

export const place = signal<Place>(read())

export function go(path: string): void {
  history.pushState(null, '', path)
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
  if (anchor.origin !== location.origin || anchor.pathname.startsWith('/api/')) return
  event.preventDefault()
  go(anchor.pathname + anchor.search)
}

function read(): Place {
  const [, page = '', ...rest] = location.pathname.split('/')
  return {
    page: decodeURIComponent(page),
    rest: rest.map(decodeURIComponent).join('/'),
    query: new URLSearchParams(location.search),
  }
}

window.addEventListener('popstate', () => {
  place.value = read()
})
