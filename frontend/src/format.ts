// Times and numbers as people read them.

export function age(from: string | null | undefined, now = Date.now()): string {
  if (!from) return '–'
  return span(Math.max(0, (now - Date.parse(from)) / 1000))
}

/** Seconds in at most two units: 42s, 3m10s, 5h20m, 12d. */
export function span(seconds: number): string {
  const total = Math.round(seconds)
  if (total < 60) return `${total}s`
  const minutes = Math.floor(total / 60)
  if (minutes < 60) return total % 60 && minutes < 10 ? `${minutes}m${total % 60}s` : `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours}h${minutes % 60}m` : `${hours}h`
  return `${Math.floor(hours / 24)}d`
}

export function clock(at: string | number | null | undefined): string {
  if (at === null || at === undefined) return '–'
  return new Date(at).toLocaleTimeString([], { hour12: false })
}

export function moment(at: string | null | undefined): string {
  if (!at) return '–'
  const when = new Date(at)
  const day = when.toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' })
  return `${day}, ${clock(at)}`
}

export function counted(count: number, word: string): string {
  return `${count.toLocaleString()} ${word}${count === 1 ? '' : 's'}`
}
