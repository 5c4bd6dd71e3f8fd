"""One trial, run and watched: worker, supervision, meters, logs, runners."""
