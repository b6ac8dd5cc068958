package web

// scriptHash is the SHA-256 of the one script of the pages: it tells a client
// that a stage is complete (CS API, Fallback). A test compares the two.
const scriptHash = "bWKz1RLHq0zPvxxxiHFG6EUpgCwLKJ6/pXtp9Y2YywY="
