"""Scale-ins in memory: see `app.ports.Scaling`."""
