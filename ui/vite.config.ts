import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  base: "/",
  plugins: [react()],
  build: {
    outDir: "../dist/ui",
    emptyOutDir: true,
    // Central's content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
  },
});
