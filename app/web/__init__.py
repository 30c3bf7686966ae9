"""Pages. All they need is vendored: no request leaves the origin."""
