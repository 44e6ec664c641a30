"""A run's folder as one page: ``page`` is the whole, the others are its pictures."""
