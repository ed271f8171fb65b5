// What is wrong with how a page looks, as sentences: words on top of each other, words that are cut
// without a sign of it, a page wider than its window, and motion though less of it was asked for.
() => {
  const wrong = []
  const root = document.documentElement
  if (root.scrollWidth > window.innerWidth)
    wrong.push(`the page is ${root.scrollWidth - window.innerWidth} pixels wider than its window`)

  const told = (element) => {
    const words = (element.textContent || element.getAttribute('aria-label') || '').trim().slice(0, 60)
    return `<${element.tagName.toLowerCase()} class="${element.className}"> ${JSON.stringify(words)}`
  }
  const isHidden = (element) => {
    const box = element.getBoundingClientRect()
    return !element.checkVisibility() || box.width <= 1 || box.height <= 1
  }
  const clips = (style) => style.overflowX !== 'visible' || style.overflowY !== 'visible'
  const modal = document.querySelector('dialog[open]')
  const all = [...(modal ?? document.body).querySelectorAll('*')].filter((each) => !isHidden(each))

  for (const element of all) {
    const style = getComputedStyle(element)
    if (!/hidden|clip/.test(style.overflowX + style.overflowY) || !element.textContent.trim()) continue
    const hasSign = style.textOverflow === 'ellipsis' && (element.closest('[title]') || element.querySelector('[title]'))
    if (element.scrollWidth > element.clientWidth + 1 && !hasSign) wrong.push(`words are cut at the side: ${told(element)}`)
    if (element.scrollHeight > element.clientHeight + 2 && !hasSign) wrong.push(`words are cut below: ${told(element)}`)
  }

  // What can be seen of a box, inside all that clips it; null if nothing.
  const seen = (box, element) => {
    let { left, top, right, bottom } = box
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (!clips(getComputedStyle(at))) continue
      const frame = at.getBoundingClientRect()
      left = Math.max(left, frame.left)
      top = Math.max(top, frame.top)
      right = Math.min(right, frame.right)
      bottom = Math.min(bottom, frame.bottom)
    }
    return right - left > 3 && bottom - top > 3 ? { left, top, right, bottom } : null
  }
  // What floats above the page covers it on purpose: only what is in one layer is compared.
  const layerOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { position } = getComputedStyle(at)
      if (position === 'fixed' || position === 'sticky' || at.matches('dialog, .menu-body')) return at
    }
    return null
  }
  // What a field shows inside itself, such as its key.
  const isOrnament = (each, field) =>
    field.matches('input') && each.closest('[aria-hidden="true"]')?.parentElement === field.parentElement
  const boxes = []
  for (const element of all) {
    const layer = layerOf(element)
    const put = (box) => {
      const part = seen(box, element)
      if (part) boxes.push({ ...part, element, layer })
    }
    if (element.matches('input, select, textarea')) put(element.getBoundingClientRect())
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue
      const range = document.createRange()
      range.selectNodeContents(node)
      const lines = [...range.getClientRects()]
      const widest = Math.max(...lines.map((each) => each.width))
      const letter = parseFloat(getComputedStyle(element).fontSize)
      if (lines.length > 2 && widest < 3 * letter && !node.data.trim().includes(' '))
        wrong.push(`a word is broken letter by letter: ${told(element)}`)
      for (const box of range.getClientRects()) {
        // A line is higher than its letters.
        const spare = box.height * 0.22
        put({ left: box.left + 1, right: box.right - 1, top: box.top + spare, bottom: box.bottom - spare })
      }
    }
  }
  boxes.sort((one, other) => one.top - other.top)
  boxes.forEach((one, index) => {
    for (let at = index + 1; at < boxes.length; at++) {
      const other = boxes[at]
      if (other.top >= one.bottom) break
      if (one.layer !== other.layer || one.element === other.element) continue
      if (isOrnament(one.element, other.element) || isOrnament(other.element, one.element)) continue
      if (Math.min(one.right, other.right) - Math.max(one.left, other.left) <= 2) continue
      if (Math.min(one.bottom, other.bottom) - other.top <= 2) continue
      wrong.push(`words lie on each other: ${told(one.element)} and ${told(other.element)}`)
    }
  })

  if (matchMedia('(prefers-reduced-motion: reduce)').matches && document.getAnimations().some((each) => each.playState === 'running'))
    wrong.push('something moves though less motion was asked for')
  return [...new Set(wrong)].slice(0, 20)
}
