"""Several processes on one study: on this machine, on a cluster."""
