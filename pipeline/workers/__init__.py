"""Run several processes on one study, on this machine or on a cluster."""
