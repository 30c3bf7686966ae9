"""The only place where decisions meet the world: observe, decide, act, note."""
