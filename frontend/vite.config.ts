import { defineConfig } from 'vite'

// One bundle of hashed files, into the Python package; nothing is fetched from anywhere else.
export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../src/shipkeeper/web/static',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
  },
})
