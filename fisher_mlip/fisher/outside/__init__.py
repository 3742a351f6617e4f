"""Outside the data: ways there, what energies do on them, and heads that keep them closed."""
