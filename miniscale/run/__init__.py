"""One trial: data prepared, the worker that trains and evaluates, its folder, runners."""
