// Keys that work everywhere, as long as nobody types into a field.

export interface Shortcut {
  key: string
  does: string
  run: () => void
}

const told = new Map<string, string>()
const shortcuts = new Map<string, Shortcut>()

/** Have a key do something for as long as the function returned is not called. */
export function onKey(key: string, does: string, run: () => void): () => void {
  const mine = { key, does, run }
  shortcuts.set(key, mine)
  return () => {
    if (shortcuts.get(key) === mine) shortcuts.delete(key)
  }
}

/** Have the help tell of keys that something on the page hears itself. */
export function tellKey(key: string, does: string): () => void {
  told.set(key, does)
  return () => told.delete(key)
}

export function allShortcuts(): { key: string; does: string }[] {
  return [...shortcuts.values(), ...[...told].map(([key, does]) => ({ key, does }))]
}

window.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return
  const target = event.target as HTMLElement | null
  if (target?.closest('input:not([type=checkbox]), textarea, select, [contenteditable]')) return
  if (document.querySelector('dialog[open]')) return
  const found = shortcuts.get(event.key)
  if (!found) return
  event.preventDefault()
  found.run()
})
