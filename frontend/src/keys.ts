// Keys that work everywhere, as long as nobody types into a field.

export interface Shortcut {
  key: string
  does: string
  run: () => void
}

const shortcuts = new Map<string, Shortcut>()

/** Have a key do something for as long as the function returned is not called. */
export function onKey(key: string, does: string, run: () => void): () => void {
  const mine = { key, does, run }
  shortcuts.set(key, mine)
  return () => {
    if (shortcuts.get(key) === mine) shortcuts.delete(key)
  }
}

export function allShortcuts(): Shortcut[] {
  return [...shortcuts.values()]
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
