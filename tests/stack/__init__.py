"""The real chain, end to end: Docker, Prometheus, Alertmanager, Redis, Relevo's own processes."""
